"""Computations that a team declares as SQL over a feed's latest ticks.

::

    library    the computations that are shipped, by name
    ticks      ticks as rows of the tables
    engine     the tables, and the SQL over them
    results    rows of a result as updates of the hot store

``docs/computations.md`` documents tables and columns for the writers of SQL.
"""
