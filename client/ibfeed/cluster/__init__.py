"""The Kubernetes cluster in which a feed runs, for the command line. Needs ``ibfeed[cluster]``."""

from ibfeed.cluster.connection import Cluster, connect

__all__ = ["Cluster", "connect"]
