"""What is true: prompts, versions, experiments, events, rollouts. Knows SQLModel; knows nothing of
Temporal or HTTP.
"""
