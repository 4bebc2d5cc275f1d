"""Running other programs: to a log file, for their output, or on the terminal."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from ibfeed_local.problem import Problem

Arguments = Sequence[str | Path]
LAST_LINES = 25

_children: set[subprocess.Popen[bytes]] = set()
_children_lock = threading.Lock()


def run(
    arguments: Arguments,
    log: Path,
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    remedy: str = "",
    within: float = 1800,
) -> None:
    """Run a program with its output appended to a log file; on failure the log's last lines are part of the problem."""
    with log.open("ab") as out:
        out.write(f"$ {_shown(arguments)}\n".encode())
        out.flush()
        start = out.tell()
        try:
            child = subprocess.Popen(
                [str(argument) for argument in arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={**os.environ, **(environment or {})},
                start_new_session=True,  # so that it can be ended together with all it started
            )
        except FileNotFoundError:
            raise Problem(f"there is no program {arguments[0]}", remedy) from None
        with _children_lock:
            _children.add(child)
        try:
            code = child.wait(timeout=within)
        except subprocess.TimeoutExpired:
            _end(child)
            raise Problem(f"{_shown(arguments)} did not end within {within:.0f} s; its log is {log}", remedy) from None
        finally:
            with _children_lock:
                _children.discard(child)
    if code:
        raise Problem(f"{_shown(arguments)} failed with exit code {code}; {tail(log, start)}", remedy)


def output(
    arguments: Arguments,
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    given: str = "",
    remedy: str = "",
    within: float = 120,
) -> str:
    """What a program writes to its standard output; a problem with what it wrote to the other one if it fails."""
    try:
        done = subprocess.run(
            [str(argument) for argument in arguments],
            input=given,
            capture_output=True,
            text=True,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            timeout=within,
            check=False,
        )
    except FileNotFoundError:
        raise Problem(f"there is no program {arguments[0]}", remedy) from None
    except subprocess.TimeoutExpired:
        raise Problem(f"{_shown(arguments)} did not answer within {within:.0f} s", remedy) from None
    if done.returncode:
        said = "\n".join((done.stderr or done.stdout).strip().splitlines()[-LAST_LINES:])
        raise Problem(f"{_shown(arguments)} failed with exit code {done.returncode}: {said}", remedy)
    return done.stdout


def succeeds(arguments: Arguments, *, environment: Mapping[str, str] | None = None) -> bool:
    """Whether a program ends with exit code 0. Nothing is printed."""
    try:
        output(arguments, environment=environment, within=30)
    except Problem:
        return False
    return True


def attached(arguments: Arguments, *, environment: Mapping[str, str] | None = None, folder: Path | None = None) -> int:
    """Run a program on this terminal and return its exit code."""
    return subprocess.run(
        [str(argument) for argument in arguments],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        check=False,
    ).returncode


def end_children() -> None:
    """End every program that `run` still has under way (another thread's, when this one gives up)."""
    with _children_lock:
        children = list(_children)
    for child in children:
        _end(child)


def tail(log: Path, start: int = 0) -> str:
    """The last lines of a log, for a message."""
    if not log.is_file():
        return f"it wrote no log at {log}"
    with log.open("rb") as file:
        file.seek(start)
        lines = file.read().decode(errors="replace").splitlines()[-LAST_LINES:]
    return "\n".join([f"the last lines of {log}:", *(f"    {line}" for line in lines)])


def _end(child: subprocess.Popen[bytes]) -> None:
    for sign, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        try:
            os.killpg(child.pid, sign)
            child.wait(timeout=patience)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
        return


def _shown(arguments: Arguments) -> str:
    text = shlex.join(str(argument) for argument in arguments)
    return text if len(text) <= 200 else f"{text[:200]}..."
