"""The venue: what api.ibkr.com shows to a Client Portal Gateway."""
