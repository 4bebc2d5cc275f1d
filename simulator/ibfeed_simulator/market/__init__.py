"""The simulated market: contracts with their calendars, and what moves their prices."""
