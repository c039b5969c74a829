"""One notification to all who ask for it, beside the rollouts and never in their way."""
