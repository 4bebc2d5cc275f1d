from __future__ import annotations

import pytest

from ibfeed_api.calls import CallRefusedError, Signer
from ibfeed_api.failsafe import Member, Outcome, Renewal, Word
from ibfeed_api.failsafe_calls import Kind, Question, answer, ask, read_answer, read_question

HOLDER, PEER = Signer(), Signer()
MEMBER = Member(namespace="default", name="energy-1_u1", address="10.0.0.1:8080", key=PEER.public_key)
RENEW = Question(Kind.RENEW, "energy-0_u0", "default", "ib-account-paper-1", "energy-0_u0", "7")
KEYS = {"energy-0_u0": HOLDER.public_key}


def test_a_question_and_its_answer() -> None:
    body = ask(HOLDER, MEMBER, RENEW)
    assert read_question(body, me=MEMBER.name, key_of=KEYS.get) == RENEW
    renewed = Renewal(Outcome.RENEWED, resource_version="8")
    assert read_answer(answer(PEER, RENEW, renewed), MEMBER, RENEW, Renewal) == renewed


@pytest.mark.parametrize(
    ("signer", "asker", "me", "says"),
    [
        (HOLDER, "energy-0_u0", "energy-2_u2", "InvalidAudience"),
        (PEER, "energy-0_u0", MEMBER.name, "InvalidSignature"),
        (HOLDER, "stranger_u9", MEMBER.name, "stranger_u9 is not known here"),
        (HOLDER, "energy-9_u9", MEMBER.name, "asked in another's name"),
    ],
)
def test_a_question_of_somebody_else_is_refused(signer: Signer, asker: str, me: str, says: str) -> None:
    question = Question(Kind.RENEW, asker, "default", "ib-account-paper-1", "energy-0_u0")
    keys = KEYS | {"energy-9_u9": HOLDER.public_key}
    with pytest.raises(CallRefusedError, match=says):
        read_question(ask(signer, MEMBER, question), me=me, key_of=keys.get)


def test_text_that_is_no_token_is_refused() -> None:
    with pytest.raises(CallRefusedError, match="a caller without a name"):
        read_question("x.y.z", me=MEMBER.name, key_of=KEYS.get)


def test_an_answer_to_another_question_is_none() -> None:
    again = Question(RENEW.kind, RENEW.asker, RENEW.namespace, RENEW.lease, RENEW.holder)
    with pytest.raises(CallRefusedError, match="another question"):
        read_answer(answer(PEER, RENEW, Word(vouches=True)), MEMBER, again, Word)


def test_an_answer_that_another_process_signed_is_none() -> None:
    with pytest.raises(CallRefusedError, match="InvalidSignature"):
        read_answer(answer(HOLDER, RENEW, Word(vouches=True)), MEMBER, RENEW, Word)


def test_an_answer_of_another_form_is_none() -> None:
    with pytest.raises(CallRefusedError, match="not understood"):
        read_answer(answer(PEER, RENEW, Word(vouches=True)), MEMBER, RENEW, Renewal)
