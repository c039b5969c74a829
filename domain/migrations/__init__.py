"""How the tables of one release become those of the next; run by `domain.schema` alone."""
