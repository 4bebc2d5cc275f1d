"""The live page: a process of its own that reads the cluster and Kafka, writes nothing, and may fail alone (ADR 69)."""
