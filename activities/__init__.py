"""Translation between Temporal and the domain: a value in, one manager call, a value out."""
