"""The steps of a visit, in their order: one module per verb."""
