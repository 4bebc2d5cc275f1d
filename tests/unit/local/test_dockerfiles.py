"""What the product's images hold besides the product, as far as their Dockerfiles tell."""

from __future__ import annotations

import re

import pytest

from ibfeed_local import images

FINAL = {image.name: image.dockerfile.read_text().rpartition("\nFROM ")[2] for image in images.PRODUCT}
BUILD_TOOLS = ("build-essential", "clang", "g++", "gcc", "git", "make", "pip", "python3-dev")


@pytest.mark.parametrize("name", FINAL)
def test_last_stage_installs_no_build_tool(name: str) -> None:
    installed = re.findall(r"install [^&]*", FINAL[name])
    words = {word for found in installed for word in found.split()}
    assert words.isdisjoint(BUILD_TOOLS)
    assert "pip install" not in FINAL[name]


@pytest.mark.parametrize("name", FINAL)
def test_pip_of_the_base_is_removed(name: str) -> None:
    """Both of the official base and of the local one, which is Debian's."""
    (removed,) = re.findall(r"&& rm -rf (/usr/bin/pip\*.*?)\nCOPY", FINAL[name], re.DOTALL)
    assert set(removed.replace("\\\n", " ").split()) == {
        *("/usr/bin/pip*", "/usr/local/bin/pip*", "/usr/share/python-wheels"),
        *("/usr/lib/python3*/ensurepip", "/usr/local/lib/python3*/ensurepip"),
        *("/usr/lib/python3/dist-packages/pip", "/usr/local/lib/python3*/site-packages/pip"),
    }


@pytest.mark.parametrize("name", FINAL)
def test_it_runs_as_a_user_without_rights(name: str) -> None:
    assert re.findall(r"^USER (.*)$", FINAL[name], re.MULTILINE) == ["10001:10001"]
