"""The simulated market: contracts with their calendars, and the sources of their prices."""
