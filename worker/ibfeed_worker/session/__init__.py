"""The account's session with IB: REST through the gateway, IB's responses, and the steps that follow from them."""
