"""IbSinks: a Deployment for each, and the truth about it. No feed ever waits for this room."""
