"""The pages of rollouts: all of them, and each."""
