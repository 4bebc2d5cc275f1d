"""``ibfeed report``: a bundle for a bug report, without secrets, account numbers and user names."""
