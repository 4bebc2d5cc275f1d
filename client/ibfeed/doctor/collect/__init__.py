"""The collectors: what asks the API server, Kafka and the schema registry. They decide nothing."""
