"""How events come in: durable before the caller goes on, counted exactly once."""
