"""The local environment of ibfeed: a real Kubernetes and a real Kafka on one machine, and the product on them.

Standard library only, because it runs before anything is installed. All it makes lies under one state folder.
"""
