"""Which gateway distribution `make test-gateway` is about."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from ibfeed_local import acceptance, images
from ibfeed_local.problem import ProblemError


def zipped(folder: Path, *names: str) -> Path:
    path = folder / "clientportal.gw.zip"
    with zipfile.ZipFile(path, "w") as content:
        for name in names:
            content.writestr(name, "x")
    return path


def test_without_a_name_it_is_the_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GATEWAY", raising=False)
    assert acceptance.archive() == images.GATEWAY


def test_a_distribution_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zipped(tmp_path, *acceptance.NEEDED, "dist/gateway.jar")
    monkeypatch.setenv("GATEWAY", str(path))
    assert acceptance.archive() == path


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "no such file"), (b"no zip", "is not a zip archive"), (("bin/run.sh",), "has no root/conf.yaml")],
)
def test_what_is_none_is_named(
    content: bytes | tuple[str, ...] | None, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "clientportal.gw.zip"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        zipped(tmp_path, *content)
    monkeypatch.setenv("GATEWAY", str(path))
    with pytest.raises(ProblemError, match=says):
        acceptance.archive()
