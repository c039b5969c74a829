"""Reports: what became of a rollout or an experiment, and why, in one file for everybody."""
