"""``python -m ibfeed_simulator vault`` runs the stand-in until a signal comes."""

from __future__ import annotations

import argparse
import asyncio
import signal
import ssl
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ibfeed_simulator.vault.server import DEFAULT_TENANT, Server
from ibfeed_simulator.vault.users import SecretsFileError, read_secrets


def main(argv: Sequence[str]) -> int:
    """Run the stand-in. Return exit code 0 after a signal, 1 if a file or port cannot be used."""
    arguments = _parser().parse_args(argv)
    try:
        secrets = read_secrets(arguments.secrets)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(arguments.tls_cert, arguments.tls_key)
        asyncio.run(_serve(arguments, secrets, tls))
    except (SecretsFileError, OSError) as error:  # ssl.SSLError is an OSError
        print(f"vault: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ibfeed_simulator vault", description="Stand-in for an Azure Key Vault.")
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on")  # noqa: S104 - a pod's own
    parser.add_argument("--port", type=int, default=8444, help="vault and token endpoint (TLS); 0: any free one")
    parser.add_argument("--tls-cert", type=Path, required=True, help="certificate chain (PEM)")
    parser.add_argument("--tls-key", type=Path, required=True, help="private key (PEM)")
    parser.add_argument("--secrets", type=Path, required=True, help="the venue's users.json, or plain secrets (JSON)")
    parser.add_argument("--control-port", type=int, help="control API and metadata service (plain HTTP); 0: any")
    parser.add_argument("--tenant", default=DEFAULT_TENANT, help="tenant of the vault")
    return parser


async def _serve(arguments: argparse.Namespace, secrets: Mapping[str, str], tls: ssl.SSLContext) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = Server(
        secrets,
        tls,
        host=arguments.host,
        port=arguments.port,
        control_port=arguments.control_port,
        tenant=arguments.tenant,
    )
    async with server:
        control = "" if server.control_port is None else f", control on {server.control_port}"
        print(f"vault listens on {server.port}{control}; {len(secrets)} secrets", flush=True)
        await stop.wait()
