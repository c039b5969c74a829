"""How fast events are taken in, over HTTP and exactly once: ours, and a minimal server by hand."""
