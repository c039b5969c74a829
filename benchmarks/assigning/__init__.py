"""Who assigns, how fast, and whom a growing ramp moves."""
