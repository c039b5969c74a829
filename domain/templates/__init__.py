"""Templates: what they may say, what their variables must be, and folders of them."""
