"""Raw frames of the websocket, in files. The format is that of the package ``ibfeed`` (docs/recording.md)."""
