"""The worker's HTTP interface: probes, metrics, and the operator's signed question about a root."""
