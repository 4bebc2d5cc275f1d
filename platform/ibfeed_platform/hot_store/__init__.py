"""The hot store: the latest value of each symbol in Redis.

::

    keys       the names of the keys
    updates    a record of Kafka as an update of a key
    scripts    the Lua scripts by which Redis takes an update, unless it has a newer one
    acl        the users of Redis
    store      the only module that talks to Redis

``docs/hot-store.md`` documents keys and fields for readers.
"""
