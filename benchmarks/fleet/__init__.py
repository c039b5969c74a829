"""A fleet of live rollouts, on real servers: what `benchmarks/workflows.py` measures."""
