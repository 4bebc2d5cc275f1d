"""Collectors side by side, each with a limit of time. A collector that hangs holds nobody up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

from ibfeed.doctor.facts import Fact, Unknown
from ibfeed.errors import Error

LIMIT_S: Final = 8.0  # of each collector; with start and checks the command stays within 10 s
_THREADS: Final = 6

Item = TypeVar("Item")
Found = TypeVar("Found")


def together(work: Mapping[str, Callable[[], Any]], limit_s: float = LIMIT_S) -> dict[str, Fact[Any]]:
    """Return what each collector returns, by name: a value, or Unknown with the text of its error.

    Any error of ours is a fact that is not known; another one is a mistake in a collector, and is told as such: the
    other checks go on.
    """
    found: dict[str, Fact[Any]] = {}

    def run(name: str, collect: Callable[[], Any]) -> None:
        try:
            found[name] = collect()
        except Error as error:
            found[name] = Unknown(str(error))
        except Exception as error:  # noqa: BLE001 - see above
            found[name] = Unknown(f"the check itself failed, please report it: {type(error).__name__}: {error}")

    threads = [threading.Thread(target=run, args=item, daemon=True) for item in work.items()]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + limit_s
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    late = Unknown(f"no answer within {limit_s:g} s")
    return {name: found.get(name, late) for name in work}


def each(items: Iterable[Item], ask: Callable[[Item], Found]) -> list[Found]:
    """Return what ``ask`` returns for each item, in their order. A few are asked at a time. Raises what it raises."""
    wanted = list(items)
    answers: dict[int, Found] = {}
    errors: list[Exception] = []
    places = iter(range(len(wanted)))
    turn = threading.Lock()

    def run() -> None:
        while not errors:
            with turn:
                place = next(places, None)
            if place is None:
                return
            try:
                answers[place] = ask(wanted[place])
            except Exception as error:  # noqa: BLE001 - raised below, by the caller's thread
                errors.append(error)

    threads = [threading.Thread(target=run, daemon=True) for _ in range(min(_THREADS, len(wanted)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return [answers[place] for place in range(len(wanted))]
