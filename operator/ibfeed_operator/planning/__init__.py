"""Decides which worker gets which account and which contracts. No I/O."""
