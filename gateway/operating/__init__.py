"""The operator's verbs over HTTP, as `control` and the managers have them."""
