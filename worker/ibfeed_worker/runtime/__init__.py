"""Tools that every part of the worker runs on: tasks, back-off, logs, processes, metrics."""
