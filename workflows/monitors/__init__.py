"""The life of a monitor."""
