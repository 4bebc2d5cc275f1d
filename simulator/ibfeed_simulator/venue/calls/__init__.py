"""REST calls that no feed makes, but that other people's clients make."""
