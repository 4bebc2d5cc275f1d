"""A gateway distribution, and a private copy of it that can be written to."""

from __future__ import annotations

import os
import re
import shutil
import warnings
from pathlib import Path
from typing import Any, Final

import certifi
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption
from cryptography.hazmat.primitives.serialization.pkcs12 import PKCS12Certificate, serialize_java_truststore
from cryptography.utils import CryptographyDeprecationWarning

from ibfeed_worker.gateway import logback

# SHA-256 of the certificate in IB's own distribution: self-signed, for no host name, expired in May 2019.
IB_CERTIFICATE: Final = "13daf89a0712b962c3ecaa5ede344100aee0d3b5dec5a79abd7602a812eda3be"
TRUST_STORE_PASSWORD: Final = "changeit"
_RUN: Final = "bin/run.sh"
_CONF: Final = "root/conf.yaml"
_LOGBACK: Final = "root/logback.xml"
_FINGERPRINT: Final = "certificate.sha256"
_COPIED: Final = ("bin", "root")
_SYSTEM_CAS: Final = (Path("/etc/ssl/certs/ca-certificates.crt"), Path("/etc/pki/tls/certs/ca-bundle.crt"))
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class DistributionError(Exception):
    """The gateway archive in the image can't be started. The text says what is wrong and what to do."""


def check(folder: Path) -> None:
    """Raise DistributionError if a file that is needed is missing or can't be run."""
    if not (folder / _RUN).is_file():
        raise DistributionError(
            f"the gateway archive has no {_RUN}: build the worker image with IB's clientportal.gw.zip"
        )
    if not os.access(folder / _RUN, os.X_OK):
        raise DistributionError(f"{_RUN} of the gateway archive is not executable: unpack the archive with its modes")
    if not (folder / _CONF).is_file():
        raise DistributionError(f"the gateway archive has no {_CONF}: build the worker image with a complete archive")


def fingerprint(folder: Path, configured: str | None) -> str:
    """Return the SHA-256 (hex) of the gateway's certificate: the feed's, else the distribution's, else IB's.

    Raises DistributionError if it is not one.
    """
    beside = folder / _FINGERPRINT
    # Both `sha256sum` and `openssl -fingerprint` forms are in use.
    text = configured or (beside.read_text() if beside.is_file() else IB_CERTIFICATE)
    cleaned = text.replace(":", "").strip().lower().split()
    if not cleaned or not _SHA256.fullmatch(cleaned[0]):
        where = "spec.gateway.certificateSHA256" if configured else _FINGERPRINT
        raise DistributionError(f"{where} is not a SHA-256 fingerprint in hex")
    return cleaned[0]


def copy(folder: Path, into: Path, *, port: int, upstream: str) -> None:
    """Copy the distribution to ``into``, with our conf.yaml and logback.xml. Raises DistributionError.

    ``bin`` and ``root`` are copied, for a script may look for its neighbours. The rest is read-only and large, and
    linked.
    """
    check(folder)
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    for entry in folder.iterdir():
        if entry.name in _COPIED:
            shutil.copytree(entry, into / entry.name)
        else:
            (into / entry.name).symlink_to(entry)
    # The image's files are read-only, and so are their copies.
    for path in [into / "root", *(into / "root").rglob("*")]:
        path.chmod(path.stat().st_mode | 0o600)
    if (into / _LOGBACK).is_file():
        (into / _LOGBACK).write_text(logback.CONFIGURATION)
    conf = into / _CONF
    conf.write_text(configured(conf.read_text(), port=port, upstream=upstream))


def configured(conf: str, *, port: int, upstream: str) -> str:
    """Return conf.yaml with our port and upstream, and with access from this pod only. Raises DistributionError.

    Every other key stays as the distribution has it, and none is added: an unknown key stops IB's gateway.
    """
    try:
        settings: Any = yaml.safe_load(conf)
    except yaml.YAMLError as error:
        raise DistributionError(f"{_CONF} of the gateway archive is not YAML: {error}") from None
    if not isinstance(settings, dict):
        raise DistributionError(f"{_CONF} of the gateway archive is not a mapping of settings")
    settings |= {"listenPort": port, "listenSsl": True, "proxyRemoteHost": upstream}
    settings["ips"] = {**(settings.get("ips") or {}), "allow": ["127.0.0.1"]}
    return yaml.safe_dump(settings, sort_keys=False)


def trust(extra_ca: Path, into: Path) -> tuple[Path, Path]:
    """Write the machine's CAs and those of ``extra_ca`` as a Java trust store and as a PEM file; return both paths.

    Raises DistributionError.
    """
    known = next((path for path in _SYSTEM_CAS if path.is_file()), Path(certifi.where()))
    together = known.read_bytes() + b"\n" + extra_ca.read_bytes()
    try:
        with warnings.catch_warnings():
            # A few public roots have serial numbers that RFC 5280 forbids; they are roots all the same.
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            x509.load_pem_x509_certificates(extra_ca.read_bytes())
            certificates = set(x509.load_pem_x509_certificates(together))
    except ValueError as error:
        raise DistributionError(f"extraCA holds no PEM certificate: {error}") from None
    entries = [PKCS12Certificate(certificate, f"ca-{n}".encode()) for n, certificate in enumerate(certificates)]
    store, pem = into / "trust.p12", into / "trust.pem"
    store.write_bytes(serialize_java_truststore(entries, BestAvailableEncryption(TRUST_STORE_PASSWORD.encode())))
    pem.write_bytes(together)
    return store, pem
