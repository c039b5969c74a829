"""How long what is kept of single events, users and checks is kept."""
