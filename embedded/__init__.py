"""What makes a whole rampart on one machine: supervised children, simulated users, the demo."""
