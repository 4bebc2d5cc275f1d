"""A feed's data in ClickHouse, which reads Kafka itself.

::

    from ibfeed.clickhouse import Access, Layout, Server

    server = Server(Access("http://clickhouse:8123", "admin", password))
    print(server.apply(Layout("kafka:9092", feed="energy")))

The modules, from the top: ``server`` talks to ClickHouse and Kafka. ``migration`` and ``health`` decide. ``schema`` has
all objects: those of ``ingestion``, ``storage`` and ``latest``, made of ``expressions`` and of ``categories``.
"""

from ibfeed.clickhouse.errors import ClickHouseRefusedError, ClickHouseUnreachableError
from ibfeed.clickhouse.health import Finding, Observation, findings
from ibfeed.clickhouse.layout import IN_COLLECTION, Layout, LayoutError
from ibfeed.clickhouse.schema import ddl
from ibfeed.clickhouse.server import Access, Server, read_categories

__all__ = [
    "IN_COLLECTION",
    "Access",
    "ClickHouseRefusedError",
    "ClickHouseUnreachableError",
    "Finding",
    "Layout",
    "LayoutError",
    "Observation",
    "Server",
    "ddl",
    "findings",
    "read_categories",
]
