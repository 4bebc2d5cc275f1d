"""Venues other than Interactive Brokers: a normaliser for each, and one connector for all.

    normaliser   the base class: frames of a websocket to events, without I/O
    kept_book    an order book that a normaliser keeps, to check it and to say what changed
    connector    keeps a websocket for each normaliser, and publishes its events
    kraken       a normaliser for Kraken's public market data

These connectors read market data. They know no account and send no orders.
"""
