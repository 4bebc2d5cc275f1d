"""The Kubernetes binary, built once from Go modules."""

from __future__ import annotations

import re
from pathlib import Path

from ibfeed_local import golang
from ibfeed_local.command import run
from ibfeed_local.state import SOURCE, State, digest

MODULE = SOURCE / "local" / "cluster"
REMEDY = "Can this machine reach the Go module proxy (GOPROXY)? Is there enough disk and memory? Run it again to go on."


def build(state: State) -> str:
    """Build kube (etcd, Kubernetes, kubectl, CoreDNS) and the pods' pause; return a word on what was done."""
    wanted = digest(MODULE)
    if state.finished("kubernetes", wanted) and state.kube.exists():
        return "up to date"
    go = golang.find(state)
    version = kubernetes_version()
    major, minor, _ = version.removeprefix("v").split(".")
    package = "k8s.io/component-base/version"
    stamps = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    flags = " ".join(["-s", "-w", *(f"-X {package}.{name}={value}" for name, value in stamps.items())])
    environment = {
        "GOMODCACHE": str(state.cache / "go" / "mod"),
        "GOCACHE": str(state.cache / "go" / "build"),
        "GOFLAGS": "",
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
    }
    for source, target in (("./pause", state.bin / "pause"), (".", state.kube)):
        _compile(go, source, target, flags, environment, state.log / "kubernetes.log")
    state.kubectl.unlink(missing_ok=True)
    state.kubectl.symlink_to(state.kube.name)
    state.finish("kubernetes", wanted)
    return f"{version}, {state.kube.stat().st_size / 1e6:.0f} MB"


def kubernetes_version() -> str:
    """Return the version that go.mod asks for, such as v1.34.4."""
    match = re.search(r"^\s*k8s\.io/kubernetes (v\S+)$", (MODULE / "go.mod").read_text(), re.MULTILINE)
    if match is None:
        raise AssertionError("go.mod requires k8s.io/kubernetes")
    return match[1]


def _compile(go: Path, source: str, target: Path, flags: str, environment: dict[str, str], log: Path) -> None:
    partial = target.with_name(f".{target.name}.partial")
    run(
        [go, "build", "-mod=readonly", "-trimpath", "-buildvcs=false", f"-ldflags={flags}", "-o", partial, source],
        log,
        environment=environment,
        folder=MODULE,
        remedy=REMEDY,
        within=3600,
    )
    partial.replace(target)
