"""The images as containerd has them: no tool by which a program that gets in could install or compile more."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.cluster import RUNTIME, read

TOOLS = ("pip", "pip3", "gcc", "cc", "c++", "clang", "make", "ld", "git", "curl", "wget")
FOLDERS = ("opt/venv/bin", "usr/local/bin", "usr/bin", "bin")


@contextmanager
def mounted(image: str, folder: Path) -> Iterator[Path]:
    subprocess.run([*RUNTIME, "images", "mount", image, str(folder)], check=True, capture_output=True, timeout=60)
    try:
        yield folder
    finally:
        subprocess.run(
            [*RUNTIME, "images", "unmount", "--rm", str(folder)], check=True, capture_output=True, timeout=60
        )


def deployed() -> dict[str, str]:
    """Return the image of each part, as the cluster was told."""
    operator = read("deployment", "ibfeed-operator", "ibfeed-system")["spec"]["template"]["spec"]["containers"][0]
    venue = read("deployment", "venue", "ibfeed-simulator")["spec"]["template"]["spec"]["containers"][0]
    variables = {item["name"]: item.get("value", "") for item in operator["env"]}
    return {
        "operator": operator["image"],
        "simulator": venue["image"],
        "worker": variables["IBFEED_WORKER_IMAGE"],
        "platform": variables["IBFEED_SINK_IMAGE"],
    }


@pytest.mark.parametrize("part", ["operator", "worker", "platform", "simulator"])
def test_image_has_no_build_tool(part: str, tmp_path: Path) -> None:
    with mounted(deployed()[part], tmp_path) as root:
        found = [f"{folder}/{tool}" for folder in FOLDERS for tool in TOOLS if (root / folder / tool).exists()]
        modules = [*root.glob("usr/lib/python3*/ensurepip"), *root.glob("usr/**/*-packages/pip")]
        assert (root / "opt/venv/bin/python").is_symlink(), "this is one of our images"
    assert found == []
    assert modules == []
