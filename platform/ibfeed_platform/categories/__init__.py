"""Category schemas: the canonical fields of each kind of data, and what is made of them.

``schemas/categories`` holds the source, a YAML file for each version of a category. All else follows from it::

    source          a file's text, read and checked
    columns         the columns of a category row, with their numbers
    rows, states    a stream's record as category rows, and back
    codec           JSON with exact decimals
    json_schema, avro, protobuf, clickhouse, iceberg, page    artefacts
    package         the part that users install, for ClickHouse
    subset          proof that a stream is part of a category
    compatibility   proof that a version is compatible with the one before
    artefacts       all files that are generated
    files           the only module that reads and writes files
"""
