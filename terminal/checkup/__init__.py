"""What `rampart doctor` looks at, part by part. It changes nothing, and shows no secret."""
