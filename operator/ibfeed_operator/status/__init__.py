"""Builds the status of a feed for people: conditions and all other fields. No I/O."""
