"""Running other programs: to a log file, for their output, or on the terminal."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from ibfeed_local import processes
from ibfeed_local.problem import ProblemError

Arguments = Sequence[str | Path]
LAST_LINES = 25
RUN = "IBFEED_LOCAL_RUN"  # each attached program gets a value of its own, and its children inherit it
PATIENCE_S = 30.0  # how long an interrupted program may take to undo what it set up

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
    """Run a program with its output appended to a log file.

    Raises ProblemError with the log's last lines if it fails, or if it does not end ``within`` seconds.
    """
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
                start_new_session=True,  # so that it can be ended together with all that it started
            )
        except FileNotFoundError:
            raise ProblemError(f"there is no program {arguments[0]}", remedy) from None
        with _children_lock:
            _children.add(child)
        try:
            code = child.wait(timeout=within)
        except subprocess.TimeoutExpired:
            _end(child)
            raise ProblemError(
                f"{_shown(arguments)} did not end within {within:.0f} s; its log is {log}", remedy
            ) from None
        except BaseException:
            _end(child)
            raise
        finally:
            with _children_lock:
                _children.discard(child)
    if code:
        raise ProblemError(f"{_shown(arguments)} failed with exit code {code}; {tail(log, start)}", remedy)


def output(
    arguments: Arguments,
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    given: str = "",
    remedy: str = "",
    within: float = 120,
) -> str:
    """Return the standard output of a program.

    Raises ProblemError with its error output if it fails, or if it does not end ``within`` seconds.
    """
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
        raise ProblemError(f"there is no program {arguments[0]}", remedy) from None
    except subprocess.TimeoutExpired:
        raise ProblemError(f"{_shown(arguments)} did not answer within {within:.0f} s", remedy) from None
    if done.returncode:
        said = "\n".join((done.stderr or done.stdout).strip().splitlines()[-LAST_LINES:])
        raise ProblemError(f"{_shown(arguments)} failed with exit code {done.returncode}: {said}", remedy)
    return done.stdout


def succeeds(arguments: Arguments, *, environment: Mapping[str, str] | None = None) -> bool:
    """Whether a program ends with exit code 0. Nothing is printed."""
    try:
        output(arguments, environment=environment, within=30)
    except ProblemError:
        return False
    return True


def attached(arguments: Arguments, *, environment: Mapping[str, str] | None = None, folder: Path | None = None) -> int:
    """Run a program with its output on this terminal; return its exit code. Nothing that it starts outlives it."""
    with _running(arguments, None, environment, folder) as child:
        return child.wait()


@contextlib.contextmanager
def beside(
    arguments: Arguments, log: Path, *, environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> Iterator[Callable[[], int]]:
    """Run a program beside others, with its output in a log. The call that is given waits, and returns its exit code.

    Nothing that it starts outlives the context.
    """
    with log.open("wb") as out, _running(arguments, out, environment, folder) as child:
        yield child.wait


@contextlib.contextmanager
def _running(
    arguments: Arguments, out: BinaryIO | None, environment: Mapping[str, str] | None, folder: Path | None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the context ends, with its output on this terminal or in ``out``.

    The program has a session of its own. So a signal reaches this process alone, whether it comes from Ctrl-C, from
    ``timeout`` or from ``kill``, and is passed on in one way: SIGINT, and PATIENCE_S to undo what the program set up.
    """
    run = f"{os.getpid()}-{time.time_ns()}"
    try:
        child = subprocess.Popen(
            [str(argument) for argument in arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=folder,
            env={**os.environ, **(environment or {}), RUN: run},
            start_new_session=True,
        )
        try:
            yield child
        except KeyboardInterrupt:
            _interrupt(child)
            raise
    finally:
        _end_run(run)


def end_children() -> None:
    """End every program that ``run`` still has under way: those of other threads, when this one gives up."""
    with _children_lock:
        children = list(_children)
    for child in children:
        _end(child)


def tail(log: Path, start: int = 0) -> str:
    """Return the last lines of a log, for a message."""
    if not log.is_file():
        return f"it wrote no log at {log}"
    with log.open("rb") as file:
        file.seek(start)
        lines = file.read().decode(errors="replace").splitlines()[-LAST_LINES:]
    return "\n".join([f"the last lines of {log}:", *(f"    {line}" for line in lines)])


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a child that leads its own process group, and the whole group with it."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, sign)
        # A second Ctrl-C cuts the wait short.
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            child.wait(timeout=5)


def _interrupt(child: subprocess.Popen[bytes]) -> None:
    """Tell an attached program to end, and wait for it: PATIENCE_S, or until the next signal comes."""
    with contextlib.suppress(OSError):  # the terminal may be gone
        print(f"\nending it; that may take {PATIENCE_S:.0f} s (once more: at once)", file=sys.stderr, flush=True)
    child.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
        child.wait(timeout=PATIENCE_S)
        return
    child.kill()
    child.wait()


def _end_run(run: str) -> None:
    """End all that carries the mark of a run. One that is told to end may start another, so look again."""
    patience = 5.0
    for _ in range(3):
        left = processes.carrying(RUN, run)
        if not left:
            return
        try:
            processes.end(left, patience)
        except KeyboardInterrupt:
            patience = 0.0


def _shown(arguments: Arguments) -> str:
    text = shlex.join(str(argument) for argument in arguments)
    return text if len(text) <= 200 else f"{text[:200]}..."
