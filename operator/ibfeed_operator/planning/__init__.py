"""Which worker gets which account and which contract. No I/O."""
