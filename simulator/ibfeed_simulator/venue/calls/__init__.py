"""REST calls that no feed makes, but other people's clients of the gateway."""
