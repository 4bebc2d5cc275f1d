"""The files that are made from the code for those who watch a feed: pages of metrics and events, and the dashboard."""
