"""Unpacking a gateway distribution into the worker's image."""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "worker" / "image" / "unpack_gateway.py"
_specification = importlib.util.spec_from_file_location("unpack_gateway", SCRIPT)
assert _specification is not None
assert _specification.loader is not None
gateway = importlib.util.module_from_spec(_specification)
_specification.loader.exec_module(gateway)

GOOD = {"bin/run.sh": "#!/bin/sh\n", "root/conf.yaml": "listenPort: 5000\n", "dist/gateway.jar": "jar"}


def archive(folder: Path, entries: dict[str, str]) -> tuple[Path, str]:
    path = folder / "gateway.zip"
    with zipfile.ZipFile(path, "w") as content:
        for name, text in entries.items():
            content.writestr(zipfile.ZipInfo(name), text)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_distribution_is_unpacked_with_its_scripts_executable(tmp_path: Path) -> None:
    path, checksum = archive(tmp_path, GOOD)
    gateway.unpack(path, checksum.upper(), tmp_path / "to")
    assert (tmp_path / "to" / "bin" / "run.sh").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "to" / "root" / "conf.yaml").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "to" / "dist" / "gateway.jar").read_text() == "jar"


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ({"readme.txt": "x"}, "no bin/run.sh and no root/conf.yaml"),
        ({"bin/run.sh": "x"}, "no root/conf.yaml"),
        ({**GOOD, "../../etc/cron.d/x": "x"}, "outside of its folder"),
    ],
)
def test_what_is_no_distribution_is_refused(tmp_path: Path, entries: dict[str, str], told: str) -> None:
    path, checksum = archive(tmp_path, entries)
    with pytest.raises(gateway.BadDistributionError, match=told):
        gateway.unpack(path, checksum, tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_a_cut_off_archive_is_refused(tmp_path: Path) -> None:
    path, _ = archive(tmp_path, GOOD)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(gateway.BadDistributionError, match="not a whole zip"):
        gateway.unpack(path, hashlib.sha256(path.read_bytes()).hexdigest(), tmp_path / "to")


def test_a_wrong_or_missing_checksum_is_refused(tmp_path: Path) -> None:
    path, checksum = archive(tmp_path, GOOD)
    with pytest.raises(gateway.BadDistributionError, match=f"checksum {checksum}, not"):
        gateway.unpack(path, "0" * 64, tmp_path / "to")
    with pytest.raises(gateway.BadDistributionError, match="give the build argument GATEWAY_SHA256"):
        gateway.unpack(path, "", tmp_path / "to")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "give one of the build arguments"),
        (["--archive", "a.zip", "--url", "https://example.org/a.zip"], "give one of the build arguments"),
        (["--url", "http://example.org/a.zip"], "must begin with https://"),
        (["--archive", "/nonesuch/a.zip"], "no file a.zip in the build context"),
    ],
)
def test_the_build_stops_with_one_clear_line(tmp_path: Path, arguments: list[str], told: str) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments, "--target", str(tmp_path / "to")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1
