"""The stand-in is a Key Vault to the real client beyond what a worker asks of it, and to plain HTTP."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import aiohttp
import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.keyvault.secrets import SecretClient

from ibfeed_simulator.vault.faults import FaultError, Faults, Place
from ibfeed_simulator.vault.main import main
from ibfeed_simulator.vault.server import Server
from ibfeed_simulator.vault.tokens import Caller
from ibfeed_simulator.vault.users import SecretsFileError, read_secrets
from support.vault import Tls, federated_token

from .conftest import PASSWORD, USERNAME


class GivenToken:
    """A credential of one token of the stand-in's."""

    def __init__(self, server: Server) -> None:
        caller = Caller(app="app", object="object", tenant=server.tenant)
        self._token = server.tokens.issue(caller, f"https://0.0.1:{server.port}")

    def get_token(self, *_scopes: str, **_options: object) -> AccessToken:
        return AccessToken(self._token, 4_000_000_000)


@pytest.fixture
def client(vault: Server, tls: Tls) -> Iterator[SecretClient]:
    url = f"https://127.0.0.1:{vault.port}"
    with SecretClient(url, GivenToken(vault), connection_verify=str(tls.ca), retry_total=0) as client:
        yield client


@pytest.fixture
async def http(tls: Tls) -> AsyncIterator[aiohttp.ClientSession]:
    context = ssl.create_default_context(cafile=str(tls.ca))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        yield session


async def test_lists_come_in_pages(vault: Server, client: SecretClient) -> None:
    for index in range(60):
        vault.store.put(f"page-{index:02}", "x")

    def pages() -> list[list[str | None]]:
        by_page = client.list_properties_of_secrets(max_page_size=25).by_page()
        return [[secret.name for secret in page] for page in by_page]

    found = await asyncio.to_thread(pages)
    assert [len(page) for page in found] == [25, 25, 12]
    assert sorted(name or "" for page in found for name in page) == sorted(
        ["ib-password-3", "ib-username-3", *(f"page-{index:02}" for index in range(60))]
    )


async def test_versions(client: SecretClient) -> None:
    def scenario() -> None:
        first = client.set_secret("two", "old")
        second = client.set_secret("two", "new", content_type="text/plain")
        assert client.get_secret("TWO").value == "new"
        assert client.get_secret("two", first.properties.version).value == "old"
        versions = {each.version for each in client.list_properties_of_secret_versions("two")}
        assert versions == {first.properties.version, second.properties.version}

    await asyncio.to_thread(scenario)


async def test_soft_delete_and_recover(client: SecretClient) -> None:
    def scenario() -> None:
        client.begin_delete_secret("ib-password-3").wait()
        with pytest.raises(ResourceNotFoundError):
            client.get_secret("ib-password-3")
        with pytest.raises(ResourceExistsError, match="recoverable"):
            client.set_secret("ib-password-3", "other")
        assert [each.name for each in client.list_deleted_secrets()] == ["ib-password-3"]
        client.begin_recover_deleted_secret("ib-password-3").wait()
        assert client.get_secret("ib-password-3").value == PASSWORD
        client.begin_delete_secret("ib-password-3").wait()
        client.purge_deleted_secret("ib-password-3")
        client.set_secret("ib-password-3", "fresh")

    await asyncio.to_thread(scenario)


async def test_a_disabled_secret_is_listed_but_not_read(client: SecretClient) -> None:
    def scenario() -> None:
        client.set_secret("off", "x", enabled=False)
        assert [each.enabled for each in client.list_properties_of_secrets() if each.name == "off"] == [False]
        with pytest.raises(HttpResponseError, match="disabled secret") as caught:
            client.get_secret("off")
        assert caught.value.status_code == 403

    await asyncio.to_thread(scenario)


async def test_names_are_checked(client: SecretClient) -> None:
    with pytest.raises(HttpResponseError, match="invalid name"):
        await asyncio.to_thread(client.get_secret, "under_score")


async def test_no_token_gets_the_challenge(vault: Server, http: aiohttp.ClientSession) -> None:
    async with http.get(f"https://127.0.0.1:{vault.port}/secrets/ib-password-3?api-version=7.4") as response:
        assert response.status == 401
        assert response.headers["WWW-Authenticate"] == (
            f'Bearer authorization="https://127.0.0.1:{vault.port}/{vault.tenant}", resource="https://0.0.1:{vault.port}"'
        )
        assert (await response.json())["error"]["code"] == "Unauthorized"


@pytest.mark.parametrize("resource", ["https://vault.azure.net", "https://0.0.1"])
async def test_a_token_for_something_else_is_refused(vault: Server, http: aiohttp.ClientSession, resource: str) -> None:
    token = vault.tokens.issue(Caller("app", "object", vault.tenant), resource)
    headers = {"Authorization": f"Bearer {token}"}
    url = f"https://127.0.0.1:{vault.port}/secrets/ib-password-3?api-version=7.4"
    async with http.get(url, headers=headers) as response:
        assert response.status == 401
        assert PASSWORD not in await response.text()


@pytest.mark.parametrize("query", ["", "?api-version=1.0"])
async def test_api_version_is_checked(vault: Server, http: aiohttp.ClientSession, query: str) -> None:
    token = GivenToken(vault).get_token().token
    url = f"https://127.0.0.1:{vault.port}/secrets/ib-password-3{query}"
    async with http.get(url, headers={"Authorization": f"Bearer {token}"}) as response:
        assert response.status == 400
        assert (await response.json())["error"]["code"] == "BadParameter"


async def test_metadata_service_wants_its_header(vault: Server, http: aiohttp.ClientSession) -> None:
    url = f"http://127.0.0.1:{vault.control_port}/metadata/identity/oauth2/token"
    query = {"api-version": "2018-02-01", "resource": "https://vault.azure.net"}
    async with http.get(url, params=query) as response:
        assert response.status == 400
    async with http.get(url, params=query, headers={"Metadata": "true"}) as response:
        assert response.status == 200
        assert set(await response.json()) >= {"access_token", "expires_in", "expires_on", "resource", "token_type"}


async def test_token_endpoint_knows_its_tenant_only(vault: Server, http: aiohttp.ClientSession) -> None:
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": federated_token(),
        "client_id": "client",
        "scope": "https://vault.azure.net/.default",
    }
    for tenant, status in (("someone-else", 400), (vault.tenant, 200)):
        url = f"https://127.0.0.1:{vault.port}/{tenant}/oauth2/v2.0/token"
        async with http.post(url, data=form) as response:
            assert response.status == status
    async with http.get(f"https://127.0.0.1:{vault.port}/common/discovery/instance") as response:
        endpoint = (await response.json())["tenant_discovery_endpoint"]
    async with http.get(endpoint) as response:
        assert (await response.json())["token_endpoint"] == url


async def test_control_api(vault: Server, http: aiohttp.ClientSession) -> None:
    url = f"http://127.0.0.1:{vault.control_port}/control"
    async with http.post(f"{url}/faults", json={"fault": "throttle", "count": 2}) as response:
        assert response.status == 200
    async with http.post(f"{url}/faults", json={"fault": "no such"}) as response:
        assert response.status == 400
        assert "throttle" in (await response.json())["error"]
    async with http.get(f"{url}/faults") as response:
        assert [fault["count"] for fault in await response.json()] == [2]
    async with http.delete(f"{url}/faults") as response:
        assert response.status == 204
    assert vault.faults.active == ()
    async with http.post(f"{url}/tokens", json={"resource": "https://vault.azure.net"}) as response:
        assert vault.tokens.grant_of((await response.json())["accessToken"]) is not None


class TestFaults:
    def test_count_duration_and_pattern(self) -> None:
        now = [0.0]
        faults = Faults(lambda: now[0])
        faults.set({"fault": "throttle", "count": 2, "secret": "ib-password-*"})
        faults.set({"fault": "server-error", "duration": 10})
        faults.set({"fault": "entra-down", "count": 1})

        def taken(place: Place, secret: str = "") -> str | None:
            active = faults.take_fault(place, secret)
            return active.fault.value if active is not None else None

        assert taken(Place.VAULT, "ib-username-1") == "server-error"
        assert [taken(Place.VAULT, "ib-password-1") for _ in range(3)] == ["throttle", "throttle", "server-error"]
        assert [taken(Place.ENTRA) for _ in range(2)] == ["entra-down", None]
        now[0] = 10.0
        assert taken(Place.VAULT, "ib-username-1") is None

    @pytest.mark.parametrize("document", [{}, {"fault": "x"}, {"fault": "throttle", "count": "many"}, []])
    def test_nonsense_is_refused(self, document: dict[str, object]) -> None:
        with pytest.raises(FaultError, match="throttle"):
            Faults(lambda: 0.0).set(document)


class TestSecretsFile:
    @pytest.mark.parametrize("wrap", [lambda users: users, lambda users: {"users": users}])
    def test_users_of_the_venue(self, tmp_path: Path, wrap: Callable[[object], object]) -> None:
        users = [{"username": "a", "password": "x"}, {"username": "b", "password": "y", "index": 7}]
        file = tmp_path / "users.json"
        file.write_text(json.dumps(wrap(users)))
        assert read_secrets(file) == {
            "ib-username-1": "a",
            "ib-password-1": "x",
            "ib-username-7": "b",
            "ib-password-7": "y",
        }

    def test_plain_secrets(self, tmp_path: Path) -> None:
        file = tmp_path / "secrets.json"
        file.write_text(json.dumps({"secrets": {"name": "value"}}))
        assert read_secrets(file) == {"name": "value"}

    @pytest.mark.parametrize("text", ["", "3", '{"users": 3}', '[{"username": "a", "pass": "hidden"}]'])
    def test_anything_else_is_named_without_its_content(self, tmp_path: Path, text: str) -> None:
        file = tmp_path / "bad.json"
        file.write_text(text)
        with pytest.raises(SecretsFileError, match="bad") as caught:
            read_secrets(file)
        assert "hidden" not in str(caught.value)


def test_main_says_what_it_cannot_use(tls: Tls, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    absent = ["--tls-cert", str(tls.cert), "--tls-key", str(tls.key), "--secrets", str(tmp_path / "absent.json")]
    assert main(absent) == 1
    assert "absent.json" in capsys.readouterr().err
    users = tmp_path / "users.json"
    users.write_text(json.dumps([{"username": USERNAME, "password": PASSWORD, "index": 3}]))
    assert main(["--tls-cert", str(users), "--tls-key", str(tls.key), "--secrets", str(users)]) == 1
    assert PASSWORD not in capsys.readouterr().err
