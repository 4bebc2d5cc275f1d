"""The local environment of ibfeed: a real Kubernetes and a real Kafka on one machine, and the product on them.

It uses the standard library only, because it runs before anything is installed. All that it makes lies under one
state folder.
"""
