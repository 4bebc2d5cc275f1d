"""Interactive Brokers, offline: a venue that stands in for api.ibkr.com, and a stand-in for its gateway."""
