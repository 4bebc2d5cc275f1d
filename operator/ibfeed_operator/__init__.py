"""The operator: it resolves contracts, assigns them to workers and reports the state of each feed."""
