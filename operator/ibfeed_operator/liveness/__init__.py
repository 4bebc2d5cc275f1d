"""Finds out which workers are alive and what each of them can do. No I/O."""
