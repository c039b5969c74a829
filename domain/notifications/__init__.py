"""Telling people, elsewhere, what a rollout's journal says: never in the way of the rollout."""
