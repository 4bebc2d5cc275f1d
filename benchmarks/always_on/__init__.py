"""Does the stream outlive the control plane? Real gateways, Kafka, kubelet and API server, on the local cluster.

It stands on the stage of ``ownership``: a feed, a venue, and a witness that hears every update of every contract.
"""
