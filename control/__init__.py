"""The operator's verbs, typed, over the Temporal client."""
