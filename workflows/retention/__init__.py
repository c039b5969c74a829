"""The sweep that a schedule starts every day."""
