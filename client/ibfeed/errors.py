"""The errors of this package. All of them are an ``Error``.

::

    ibfeed.Error
    ├── KafkaUnreachableError   no broker answers
    ├── KafkaRefusedError       Kafka answers, and refuses
    ├── MissingTopicError       a topic is not there
    ├── RecordError             a record cannot be decoded
    │   └── UnknownSchemaError  a record has a schema version that this package does not know
    └── MissingExtraError       pandas, polars or pyarrow is not installed
"""

from __future__ import annotations


class Error(Exception):
    """The base of all errors of this package."""


class KafkaUnreachableError(Error):
    """No broker answers. The text names the address and what to check."""


class KafkaRefusedError(Error):
    """Kafka answers, and refuses: a right is missing, or an offset is no longer there."""


class MissingTopicError(Error):
    """A topic is not there, or Kafka does not show it."""


class RecordError(Error):
    """A record cannot be decoded. The text names its topic, partition and offset."""


class UnknownSchemaError(RecordError):
    """A record has a schema version that this package does not know. A newer release of it may."""


class MissingExtraError(Error, ImportError):
    """A library that an extra of this package installs is missing."""
