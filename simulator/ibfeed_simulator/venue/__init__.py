"""The venue, a stand-in for api.ibkr.com as a Client Portal Gateway meets it."""
