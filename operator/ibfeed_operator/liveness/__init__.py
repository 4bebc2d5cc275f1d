"""Which workers live, and what they can do. No I/O."""
