from __future__ import annotations

from pathlib import Path

import pytest

from ibfeed_local import images, target
from ibfeed_local.problem import ProblemError


@pytest.fixture
def own_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kubectl on PATH that reaches its cluster."""
    kubectl = tmp_path / "kubectl"
    kubectl.write_text("#!/bin/sh\nexit 0\n")
    kubectl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for name in ("IMAGES", "TAG", "KAFKA"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("own_cluster")
def test_what_an_own_cluster_needs_is_asked_for_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ProblemError, match="needs IMAGES and TAG and KAFKA"):
        target.current()
    monkeypatch.setenv("IMAGES", "registry.example.org/ibfeed/")
    monkeypatch.setenv("TAG", "1")
    with pytest.raises(ProblemError, match="needs KAFKA\n"):
        target.current()
    monkeypatch.setenv("KAFKA", "kafka.example.org")
    with pytest.raises(ProblemError, match="must be host:port"):
        target.current()
    monkeypatch.setenv("KAFKA", "kafka.example.org:9092")
    found = target.current()
    assert found.images == {
        "operator": "registry.example.org/ibfeed/operator:1",
        "worker": "registry.example.org/ibfeed/worker:1",
        "simulator": "registry.example.org/ibfeed/simulator:1",
        "platform": "registry.example.org/ibfeed/platform:1",
    }


def test_without_kubectl_an_own_cluster_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ProblemError, match="no kubectl"):
        target.current()


def test_every_image_is_made_of_what_its_dockerfile_copies() -> None:
    """What is copied but not in the digest would change without a new tag."""
    for image in images.PRODUCT:
        lines = image.dockerfile.read_text().splitlines()
        copied = {
            word for line in lines if line.startswith("COPY ") and "--from" not in line for word in line.split()[1:-1]
        }
        known = {source for source in copied for whole in image.sources if Path(source).is_relative_to(whole)}
        assert copied - known <= {"${GATEWAY_ARCHIVE}"}, image.name
