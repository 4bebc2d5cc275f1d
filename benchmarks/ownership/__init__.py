"""`make bench-ownership`: what planned moves, crashes, hung workers and a missing operator cost a reader of Kafka.

Everything is real but IB: API server, kubelet, pods, Chromium, Kafka. What the venue says that it sent to a witness is
compared with what came out on Kafka.
"""
