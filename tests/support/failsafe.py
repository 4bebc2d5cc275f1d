"""Members of a failsafe for tests: as many as are wanted, each with an answer that a test chooses."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ibfeed_api.failsafe import Member, Outcome, Renewal
from ibfeed_worker.account.lease import Lease


def members(*names: str) -> tuple[Member, ...]:
    return tuple(
        Member(namespace="default", name=name, address=f"{name}.test:8080", key=f"key of {name}") for name in names
    )


class Members:
    """The members that a holder names and asks. ``answers``: by name; a member without one does not answer."""

    def __init__(self, *names: str, answer: Outcome | None = None) -> None:
        self.members = members(*names)
        self.answers: dict[str, Renewal] = {name: Renewal(answer, "as the test says") for name in names if answer}
        self.asked: list[frozenset[str]] = []

    async def ask(self, lease: Lease, members: Collection[Member]) -> Mapping[str, Renewal]:
        names = frozenset(member.name for member in members)
        self.asked.append(names)
        return {name: found for name, found in self.answers.items() if name in names}
