"""The worker's few calls to the Kubernetes API."""
