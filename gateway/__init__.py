"""Over HTTP: evaluation by OFREP, events, changes as they happen, and the operator's verbs."""
