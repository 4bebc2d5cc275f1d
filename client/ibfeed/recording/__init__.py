"""Recordings: records of Kafka and frames of IB's websocket, in files. ``docs/recording.md`` tells every byte.

::

    blocks      one block: marker, header, checksums, compressed body; the search for whole blocks in damaged bytes
    columns     lists of numbers and of texts as few bytes
    records     records of Kafka as the body of a block
    frames      frames of a websocket as the body of a block
    layout      where the files are in a folder
    files       reading, mending, appending
    assembler   which records make a block, and from where a restart goes on
    store       where finished files go: S3 or Azure
    uploads     which files go there, and when
    recorder    from Kafka into a folder
    schedule    the order of a replay, and its pace
    replayer    from a folder into Kafka
    summary     what a folder holds
    events      records as a reader's events
    table       events as Parquet
    venue       events as data of the simulator's venue
"""
