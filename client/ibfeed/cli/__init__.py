"""The command line ``ibfeed``. Each module has the commands of one subject; ``main`` puts them together."""
