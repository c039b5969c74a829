"""A change of routing spreads to many serving processes: what `benchmarks/propagation.py` times."""
