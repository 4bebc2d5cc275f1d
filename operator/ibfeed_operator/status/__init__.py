"""What people are told: conditions, and the rest of the status. No I/O."""
