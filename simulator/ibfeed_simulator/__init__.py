"""Interactive Brokers, offline: a venue that stands in for api.ibkr.com, and a stand-in for its gateway.

All exceptions, each in the module that raises it:

    Exception
    |
    +-- distribution
    |   +-- BuildError              pip could not get the packages
    +-- gateway
    |   +-- ConfigurationError      conf.yaml is missing, or says what the gateway does not understand
    |   +-- UpstreamClosedError     the other side closed or broke off
    +-- vault
    |   +-- SecretsFileError        the file has neither form
    |   +-- FaultError              there is no such fault
    |   +-- UnknownSecretError      there is no such secret, or version of it
    |   +-- DeletedSecretError      the secret must be recovered or purged first
    +-- ValueError
        +-- venue
            +-- TopicError          a request on the websocket names another account, or is no JSON
            +-- SpanError           a text is no period, or no size of a bar
"""
