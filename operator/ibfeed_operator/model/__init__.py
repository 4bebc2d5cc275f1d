"""What the operator knows: frozen values, and how they are read from JSON. No I/O."""
