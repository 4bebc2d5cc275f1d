"""One worker: a gateway process, an account's session with IB, and its contracts' ticks on Kafka."""
