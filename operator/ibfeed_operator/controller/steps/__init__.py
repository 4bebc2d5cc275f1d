"""The steps of a cycle, in their order: one module for each."""
