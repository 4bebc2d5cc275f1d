"""The login page as scripts for IB's page see it, and what the Dispatcher makes of a form."""

from __future__ import annotations

import re

import pytest

from support.inprocess_venue import Start


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (1, [r'name="user_name"', r'name="password"', r'class="[^"]*btn btn-lg xyz-button-login']),
        (
            2,
            [
                r'name="username"',
                r'id="xyz-field-username"',
                r'id="xyz-field-password"',
                r'class="xyzform-username"',
                r'class="[^"]*btn btn-lg xyz-button-login',
                "xyzblock-loading",
            ],
        ),
    ],
)
async def test_both_pages_have_their_elements(start: Start, version: int, expected: list[str]) -> None:
    stand = await start(page_version=version)
    async with stand.client.get("/sso/Login", params={"forwardTo": "22", "RL": "1", "ip2loc": "US"}) as answer:
        page = await answer.text()
    assert answer.status == 200
    for pattern in [*expected, r'action="/sso/Dispatcher"', r'for="toggle1"']:
        assert re.search(pattern, page), pattern
    assert ("user_name" in page) is (version == 1)


async def test_a_good_login_is_a_redirect_with_the_cookies_that_a_gateway_keeps(start: Start) -> None:
    stand = await start()
    status, _, cookies = await stand.submit()
    assert status == 302
    assert "XYZAB=" in cookies
    assert "USERID=" in cookies


@pytest.mark.parametrize(("version", "block"), [(1, "alert alert-danger margin-top-10"), (2, "xyz-errormessage")])
async def test_a_wrong_password_shows_the_error_block(start: Start, version: int, block: str) -> None:
    stand = await start(page_version=version)
    status, page, cookies = await stand.submit(password="wrong")
    assert (status, cookies) == (200, "")
    assert block in page
    assert "Invalid username password combination" in page


async def test_nobody_learns_which_usernames_exist(start: Start) -> None:
    stand = await start()
    assert (await stand.submit("nobody", "x"))[1] == (await stand.submit("paper1", "x"))[1]


async def test_too_many_wrong_passwords_lock_the_account(start: Start) -> None:
    stand = await start(lock_after=3)
    for _ in range(3):
        _, page, _ = await stand.submit(password="wrong")
    assert "locked" in page
    assert (await stand.submit())[0] == 200
    await stand.fault("unlock", username="paper1")
    assert (await stand.submit())[0] == 302


async def test_login_faults(start: Start) -> None:
    stand = await start()
    await stand.fault("wrong_password", username="paper1", count=1)
    assert "Invalid username password combination" in (await stand.submit())[1]
    await stand.fault("locked", username="paper1", count=1)
    assert "locked" in (await stand.submit())[1]
    await stand.fault("second_factor", username="paper1", count=1)
    assert 'id="twofactbase"' in (await stand.submit())[1]
    await stand.fault("wrong_mode", username="paper1")
    assert "You have selected the Live Account Mode" in (await stand.submit())[1]
    assert (await stand.submit(paperSwitch="on"))[0] == 302
    assert (await stand.submit("paper2"))[0] == 302


async def test_a_changed_page_has_none_of_the_known_names(start: Start) -> None:
    stand = await start()
    await stand.fault("page_changed")
    async with stand.client.get("/sso/Login") as answer:
        page = await answer.text()
    assert "user" not in page.lower()
    assert "btn" not in page


@pytest.mark.parametrize(("typed", "status"), [("3999", 200), ("4000", 302), ("", 302)])
async def test_a_form_sent_at_once_after_typing_is_refused(start: Start, typed: str, status: int) -> None:
    stand = await start(typing_seconds=4.0)
    answered, page, _ = await stand.submit(typedAgo=typed)
    assert answered == status
    assert ("Invalid username password combination" in page) is (status == 200)


@pytest.mark.parametrize("version", [1, 2])
async def test_the_page_tells_how_long_ago_somebody_typed(start: Start, version: int) -> None:
    stand = await start(page_version=version)
    async with stand.client.get("/sso/Login") as answer:
        page = await answer.text()
    assert 'name="typedAgo"' in page
    assert "Date.now() - form.dataset.typed" in page


async def test_a_login_is_refused_with_any_text_and_not_counted(start: Start) -> None:
    stand = await start(lock_after=2)
    await stand.fault("refused", username="paper1", count=3)
    for _ in range(3):
        assert "ERROR" in (await stand.submit())[1]
    await stand.fault("refused", value="System maintenance", count=1)
    assert "System maintenance" in (await stand.submit())[1]
    assert (await stand.submit())[0] == 302


@pytest.mark.parametrize(
    ("fault", "button"),
    [("ibkey_promo", "ibkey-promo-skip"), ("notice", "I understand"), ("agreement", "I agree and sign")],
)
async def test_a_page_between_password_and_login_leads_on(start: Start, fault: str, button: str) -> None:
    stand = await start()
    await stand.fault(fault, count=1)
    status, page, _ = await stand.submit()
    assert (status, button in page) == (200, True)
    found = re.search(r'name="continue" value="(\w+)"', page)
    assert found is not None
    assert (await stand.submit("", "", **{"continue": found[1]}))[0] == 302
    assert (await stand.submit("", "", **{"continue": found[1]}))[0] == 200, "it leads on once"


async def test_a_banner_covers_the_page(start: Start) -> None:
    stand = await start()
    await stand.fault("banner")
    async with stand.client.get("/sso/Login") as answer:
        assert "position:fixed;inset:0" in await answer.text()
