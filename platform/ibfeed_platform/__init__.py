"""The data platform around a feed. Its processors read the topics of a feed and write stores."""
