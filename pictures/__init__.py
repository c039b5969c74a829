"""Pictures of rollouts and experiments: values in, one inline SVG out, for pages and reports."""
