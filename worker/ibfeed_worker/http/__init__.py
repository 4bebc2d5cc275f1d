"""What the worker serves: probes, metrics, and the operator's signed question about a root."""
