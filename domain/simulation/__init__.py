"""Rollouts that never were: the production judge on made-up users."""
