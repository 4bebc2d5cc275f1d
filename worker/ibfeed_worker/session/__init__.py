"""The account's session with IB: REST through the gateway, its answers, and what to do about them."""
