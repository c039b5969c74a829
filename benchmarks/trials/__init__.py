"""Simulated rollouts, and the methods that watch them side by side."""
