"""Several prompts as one rollout: one ramp, one verdict, all or nothing."""
