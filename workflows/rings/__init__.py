"""The life of a rollout ring by ring."""
