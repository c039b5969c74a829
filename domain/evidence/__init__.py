"""What is seen at a look, and what it is worth."""
