"""The stand-in's parts; as a process it is tested with the component tests."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ibfeed_simulator import distribution
from ibfeed_simulator.gateway.conf import Addresses, ConfigurationError, load
from ibfeed_simulator.gateway.cookies import CookieStore
from ibfeed_simulator.gateway.proxy import recoded
from ibfeed_simulator.gateway.upstream_socket import Piece


def written(folder: Path, **changes: object) -> Path:
    path = folder / "conf.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(distribution._CONF), **changes}))
    return path


def test_the_distribution_s_configuration(tmp_path: Path) -> None:
    configuration = load(written(tmp_path))
    assert (configuration.port, configuration.remote, configuration.auth_delay) == (5000, "https://api.ibkr.com", 3.0)
    assert configuration.certificate == tmp_path / "gateway.pem"


def test_a_key_that_it_does_not_know_stops_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="tickleDelay"):
        load(written(tmp_path, tickleDelay=1))


@pytest.mark.parametrize("text", ["- a list", "listenPort: [", "listenPort: many"])
def test_broken_files_are_explained(tmp_path: Path, text: str) -> None:
    (tmp_path / "conf.yaml").write_text(text)
    with pytest.raises(ConfigurationError, match=r"conf\.yaml"):
        load(tmp_path / "conf.yaml")


@pytest.mark.parametrize(
    ("host", "prefix"), [("https://ib-api.example", "/v1/api"), ("https://venue.example", "/v1/portal")]
)
def test_the_prefix_follows_the_host_s_name(tmp_path: Path, host: str, prefix: str) -> None:
    assert load(written(tmp_path, proxyRemoteHost=host)).api == prefix


def test_addresses() -> None:
    addresses = Addresses(allow=("10.*", "127.0.0.1"), deny=("10.9.*",))
    assert addresses.admit("10.1.2.3")
    assert not addresses.admit("10.9.0.1")
    assert not addresses.admit("192.168.0.1")
    assert Addresses().admit("192.168.0.1")


def test_it_keeps_only_cookies_that_it_knows() -> None:
    store = CookieStore()
    store.take(["XYZAB=1; Path=/; Secure", "x-sess-uuid=2; Path=/v1/api", "USERID=3", "\x00"])
    assert store.header() == "XYZAB=1; USERID=3"
    store.take(["XYZAB=9"])
    assert store.header() == "XYZAB=9; USERID=3"


def test_text_is_recoded_so_that_it_may_be_no_utf_8() -> None:
    assert recoded(Piece(True, "café".encode())) == b"caf\xe9"
    assert recoded(Piece(True, b'{"a":1}')) == b'{"a":1}'
    assert recoded(Piece(False, "é".encode())) == "é".encode()


def test_the_vendored_packages_are_those_that_were_locked() -> None:
    text = distribution.pinned(distribution._REQUIREMENTS.read_text())
    assert text.count("==") == len(distribution.NEEDED)
    assert "cryptography" not in text
    with pytest.raises(distribution.BuildError, match="yarl"):
        distribution.pinned("aiohttp==1 \\\n    --hash=sha256:00\n")
