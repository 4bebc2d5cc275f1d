"""The errors of this package. All of them are an ``Error``.

::

    ibfeed.Error
    ├── KafkaUnreachableError   no broker answers
    ├── KafkaRefusedError       Kafka answers, and refuses
    ├── MissingTopicError       a topic is not there
    ├── RecordError             a record cannot be decoded
    │   └── UnknownSchemaError  a record has a schema version that this package does not know
    ├── RecordingError          a recording cannot be read or written
    ├── RegistryError           the schema registry of a feed in Avro is not named, or gives no schema
    │   └── RegistryUnreachableError  it does not answer
    ├── RedisUnreachableError   Redis does not answer
    ├── RedisRefusedError       Redis answers, and refuses
    ├── VenueUnreachableError   a connector's venue does not answer
    ├── FrameError              a venue's frame is not as it documents
    ├── ClusterUnreachableError the API server does not answer, or no cluster is configured
    ├── ClusterRefusedError     the API server answers, and refuses
    ├── MissingObjectError      the cluster has no such object
    ├── ObjectError             an object of the cluster is not as the command line knows it, or not fit for the order
    ├── ConsoleError            the live page cannot be reached, or refuses
    ├── ConfigurationError      the file of ``ibfeed run`` cannot be used
    └── MissingExtraError       a library that an extra installs is missing
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


class RecordingError(Error):
    """A recording cannot be read or written. The text names the file or the folder, and what to do."""


class RegistryError(Error):
    """The schema registry of a feed that writes Avro is not named, or gives no schema. The text says what to do."""


class RegistryUnreachableError(RegistryError):
    """The schema registry does not answer, or fails. It may be tried again."""


class RedisUnreachableError(Error):
    """Redis does not answer. The text says what to check."""


class RedisRefusedError(Error):
    """Redis answers, and refuses: a right is missing, or the key is of another type."""


class VenueUnreachableError(Error):
    """A venue does not answer, or each connection to it breaks. The text says what to check."""


class FrameError(Error):
    """A venue sent a frame that is not as it documents. The connector makes a new connection."""


class ClusterUnreachableError(Error):
    """The API server does not answer, or no cluster is configured. The text says what to check."""


class ClusterRefusedError(Error):
    """The API server answers, and refuses. The text has its reason."""


class MissingObjectError(Error):
    """The cluster has no such object. The text is the API server's."""


class ObjectError(Error):
    """An object of the cluster is not as the command line knows it, or not fit for the order. The text says why."""


class ConsoleError(Error):
    """The live page cannot be reached, or does not let the user in. The text says what to do."""


class ConfigurationError(Error):
    """The file of ``ibfeed run`` cannot be used. The text names the file, the place in it, and what to write."""


class MissingExtraError(Error, ImportError):
    """A library that an extra of this package installs is missing."""
