"""What a process tells of itself while it works: logs, spans, and the meters of a worker.

The roots of composition turn it on; nothing else knows of it. What a gateway counts is
`gateway.telemetry`.
"""
