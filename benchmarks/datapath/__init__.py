"""`make bench-worker`: what a worker's data path carries, adds and loses, beside other clients in the same run.

Worker's code, TLS, Kafka and Chromium are the real ones; what stands in for IB says how much it sent.
"""
