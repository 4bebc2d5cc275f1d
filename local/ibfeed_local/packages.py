"""Packages of the distribution. Only missing ones are installed, and no service of theirs is left running."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from ibfeed_local.command import run, succeeds
from ibfeed_local.problem import ProblemError
from ibfeed_local.state import State

CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))

# package -> its program; where that is present, the package is not needed
CLUSTER = {
    "ca-certificates": "update-ca-certificates",
    "iproute2": "ip",
    "openssl": "openssl",
    "containerd": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "mmdebstrap": "mmdebstrap",
    "buildah": "buildah",
    "skopeo": "skopeo",
    "openjdk-17-jre-headless": "java",
    "maven": "mvn",
}
JAVA = {"openjdk-17-jre-headless": "java", "maven": "mvn"}
COMPILER = {"gcc": "gcc", "python3-dev": "python3-config"}
BROWSER = {"chromium": "chromium", "chromium-driver": "chromedriver"}
DISPLAY = {"xvfb": "Xvfb"}  # ibeam starts its browser on one
REDIS = {"redis-server": "redis-server"}
SERVICES = ("containerd", "redis-server")  # packages that start a daemon of their own; we need their programs only


def install(state: State, wanted: dict[str, str]) -> list[str]:
    """Install the packages whose program is missing; return them."""
    missing = [package for package, program in wanted.items() if _program(program) is None]
    if wanted is CLUSTER:
        if not any((folder / "bridge").exists() for folder in CNI_FOLDERS):
            missing.append("containernetworking-plugins")
        if not Path("/usr/share/keyrings/debian-archive-keyring.gpg").exists():
            missing.append("debian-archive-keyring")
        if not succeeds([sys.executable, "-c", "import ensurepip"]):
            missing.append("python3-venv")
    if not missing:
        return []
    log = state.log / "apt.log"
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    remedy = "Can this machine reach its package mirror? Is another apt at work? Try `apt-get update`."
    run(["apt-get", "update"], log, environment=quiet, remedy=remedy)
    run(
        ["apt-get", "install", "--yes", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120", *missing],
        log,
        environment=quiet,
        remedy=remedy,
    )
    started = [package for package in SERVICES if package in missing]
    if started and Path("/run/systemd/system").exists():
        succeeds(["systemctl", "disable", "--now", *started])
    return missing


def unpacked(state: State, package: str, program: str) -> Path:
    """Return a package's program, unpacked below the state folder. Nothing is installed, so no service starts.

    Args:
        program: its path within the package, such as ``usr/bin/promtool``.
    """
    folder = state.root / "packages" / package
    found = folder / program
    if not found.exists():
        folder.mkdir(parents=True, exist_ok=True)
        log, remedy = state.log / "apt.log", "Can this machine reach its package mirror?"
        with tempfile.TemporaryDirectory(dir=state.root) as download:
            run(["apt-get", "update"], log, remedy=remedy)
            run(["apt-get", "download", package], log, folder=Path(download), remedy=remedy)
            (archive,) = Path(download).glob("*.deb")
            run(["dpkg-deb", "--extract", archive, folder], log)
    return found


def cni_folder() -> Path:
    """Return the folder of the CNI plugins."""
    for folder in CNI_FOLDERS:
        if (folder / "bridge").exists():
            return folder
    raise ProblemError("the CNI plugins are missing", "Install containernetworking-plugins.")


def _program(name: str) -> str | None:
    """Return a program's path. Administrators' folders count, although a user's PATH may lack them."""
    return shutil.which(name) or shutil.which(name, path="/usr/local/sbin:/usr/sbin:/sbin")
