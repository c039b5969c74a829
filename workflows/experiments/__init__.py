"""The life of an experiment that comes to a conclusion."""
