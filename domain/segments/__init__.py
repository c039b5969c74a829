"""Groups of users by rules, each served by a lane of its own."""
