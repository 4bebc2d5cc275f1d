"""The few calls that a worker makes to the Kubernetes API."""
