"""Which contracts a root has: the answer to the operator's question."""
