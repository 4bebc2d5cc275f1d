"""The names that the client writes by itself are those of the product."""

from __future__ import annotations

from ibfeed.cluster import labels
from ibfeed_api import labels as product


def test_each_name_is_one_of_the_product() -> None:
    ours = {value for name, value in vars(labels).items() if name.isupper()}
    theirs = {value for name, value in vars(product).items() if name.startswith(("LABEL_", "ANNOTATION_"))}
    assert len(ours) == 13
    assert ours <= theirs
