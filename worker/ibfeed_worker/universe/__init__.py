"""The contracts of a root: the answer to the operator's question."""
