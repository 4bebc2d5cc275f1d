"""The operator: it resolves contracts, gives them to workers, and tells how they do."""
