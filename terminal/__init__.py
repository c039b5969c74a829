"""What a person types and sees: commands, tables, the live picture. No decision is made here."""
