"""Recorded frames once more through the stream's own code, and what it makes of them beside what it made then.

Use it to see what a change of the normaliser would have done to yesterday's ticks::

    python -m ibfeed_worker.renormalise FOLDER            frames and records of one folder
    python -m ibfeed_worker.renormalise FRAMES RECORDS    of two
"""
