"""``ibfeed doctor``: facts about an installation and its feeds, and the findings that pure checks draw from them.

``collect`` asks the API server, Kafka and the schema registry. ``checks`` has a module for each subject.
"""
