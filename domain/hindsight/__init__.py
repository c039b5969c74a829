"""What a journal tells afterwards: the same again, why, and what if."""
