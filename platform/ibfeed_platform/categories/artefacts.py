"""All files that are generated from the category schemas."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ibfeed_platform.categories.avro import avro
from ibfeed_platform.categories.clickhouse import column_list
from ibfeed_platform.categories.iceberg import iceberg
from ibfeed_platform.categories.json_schema import json_schema
from ibfeed_platform.categories.package import package_data
from ibfeed_platform.categories.page import page
from ibfeed_platform.categories.protobuf import protobuf
from ibfeed_platform.categories.record_avro import record_avro
from ibfeed_platform.categories.source import Category

GENERATED: Final = "schemas/categories/generated"
PAGE: Final = "docs/schemas.md"
RECORDS: Final = "api/ibfeed_api/avro"  # workers write by these
PACKAGE: Final = "client/ibfeed/clickhouse/categories.json"

_FORMS: Final = {
    "schema.json": json_schema,
    "avsc": avro,
    "proto": protobuf,
    "clickhouse.sql": column_list,
    "iceberg.json": iceberg,
}


def artefacts(categories: Iterable[Category]) -> dict[str, str]:
    """Return the text of each generated file by its path in the repository."""
    all_ = list(categories)
    files = {
        f"{GENERATED}/{category.name}.{ending}": form(category) for category in all_ for ending, form in _FORMS.items()
    }
    records = {
        f"{RECORDS}/{stream.topic}-{max(stream.versions)}.avsc": record_avro(category, stream)
        for category in all_
        for stream in category.streams
    }
    return files | records | {PAGE: page(all_), PACKAGE: package_data(all_)}
