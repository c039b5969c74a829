"""Experiments that come to a conclusion."""
