"""When a rollout may advance: business hours, freezes, a deadline. Pure, but for the time zones."""
