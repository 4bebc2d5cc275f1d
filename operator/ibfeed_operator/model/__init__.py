"""The operator's model of the cluster: frozen values, and how they are read from JSON. No I/O."""
