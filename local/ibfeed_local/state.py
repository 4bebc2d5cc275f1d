"""The places of everything: the state folder, the source tree, and the few outside that the kernel dictates."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from ibfeed_local.problem import ProblemError

SOURCE = Path(__file__).resolve().parents[2]
RUNTIME = Path("/run/ibfeed-local")  # sockets: their paths have at most 107 characters


@dataclass(frozen=True)
class State:
    """The folder that holds all that is built, downloaded and running."""

    root: Path

    @classmethod
    def from_environment(cls) -> State:
        """The folder named by IBFEED_STATE, or the default."""
        return cls(Path(os.environ.get("IBFEED_STATE") or "/var/lib/ibfeed-local").absolute())

    @property
    def bin(self) -> Path:
        return self.root / "bin"

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def run(self) -> Path:
        """The files of a running cluster. `down` deletes them."""
        return self.root / "run"

    @property
    def venv(self) -> Path:
        return self.root / "venv"

    @property
    def python(self) -> Path:
        return self.venv / "bin" / "python"

    @property
    def kube(self) -> Path:
        """The one binary of every Kubernetes component."""
        return self.bin / "kube"

    @property
    def kubectl(self) -> Path:
        return self.bin / "kubectl"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig. Its place stays the same, so that an exported KUBECONFIG goes on working."""
        return self.root / "admin.conf"

    @property
    def images(self) -> Path:
        return self.root / "images"

    def prepare(self) -> None:
        """Make the folders. The state folder holds private keys, so only its owner may look in."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            (self.root / "steps").mkdir(exist_ok=True)
        except (PermissionError, NotADirectoryError):
            raise ProblemError(
                f"{self.root} cannot be written to", "Run it as root, or name a folder of your own: IBFEED_STATE=..."
            ) from None
        for folder in (self.bin, self.cache, self.log, self.run, self.images):
            folder.mkdir(exist_ok=True)
        self.run.chmod(0o700)

    def finished(self, step: str, digest: str) -> bool:
        """Whether the step was carried out to its end with these very inputs."""
        record = self.root / "steps" / step
        return record.is_file() and record.read_text() == digest

    def finish(self, step: str, digest: str) -> None:
        """Record that the step is done. Called last, so that an interrupted step starts again."""
        record = self.root / "steps" / step
        write(record, digest)


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file as a whole, or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.touch(mode=mode)
    partial.chmod(mode)
    partial.write_text(text)
    partial.replace(path)


def digest(*parts: str | Path) -> str:
    """Return the digest of texts, files and folders: names, contents, executable bits. Byte code is left out."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            total.update(f"text {len(part.encode())}\n{part}".encode())
            continue
        for path in sorted(_files(part)):
            content = path.read_bytes()
            executable = bool(path.stat().st_mode & 0o100)
            total.update(f"file {path.relative_to(part.parent)} {executable} {len(content)}\n".encode())
            total.update(content)
    return total.hexdigest()


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return [
        file
        for file in path.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts and not file.name.endswith((".pyc", ".egg-info"))
    ]
