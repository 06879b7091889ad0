"""The runtime as a local service: inference, budgets, events and metrics over HTTP (`legodnn serve`)."""
