"""Trading hours of contracts, as IB says, so that a quiet market is told from a dead feed."""
