"""Statistics: numbers in, numbers out. No session, no clock, no chance."""
