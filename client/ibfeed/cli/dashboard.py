"""``ibfeed dashboard``: the live page in the browser, signed in."""

from __future__ import annotations

import contextlib
import subprocess
import webbrowser
from typing import Annotated

import typer

from ibfeed.cluster import connect
from ibfeed.cluster.connection import Cluster
from ibfeed.cluster.console import RENEW_S, Forward, forward, redirect, renew, sign_in, user_token
from ibfeed.errors import ConsoleError


def dashboard(
    context: Annotated[str, typer.Option(help="Context of the kubeconfig. Its current one if absent.")] = "",
    operator_namespace: Annotated[str, typer.Option(help="Where the operator and the console are.")] = "ibfeed-system",
    deployment: Annotated[str, typer.Option(help="Name of the console's Deployment.")] = "ibfeed-console",
    port: Annotated[int, typer.Option(help="Local port. Any free one if 0.")] = 0,
    service_account: Annotated[
        str, typer.Option(help="Sign in as this ServiceAccount (namespace/name) instead of as yourself.")
    ] = "",
    browser: Annotated[bool, typer.Option(help="Open the browser, or only print the address.")] = True,
) -> None:
    """Show feeds, workers and contracts live in the browser, until Ctrl-C.

    It forwards a local port to the console in the cluster, and signs you in with your kubeconfig. You see the
    namespaces whose feeds you may list. The token stays here: the browser gets a code that is good once.
    """
    cluster = connect(context=context)
    token = user_token(cluster, service_account)
    with (
        contextlib.suppress(KeyboardInterrupt),
        forward(context=context, namespace=operator_namespace, deployment=deployment, port=port) as way,
    ):
        code = sign_in(way.url, token)
        address = f"{way.url}/#code={code}"
        typer.echo(f"The page: {address}\nThe address is good once, and for a minute. Ctrl-C ends the forward.")
        with redirect(address) as file:
            if browser and not webbrowser.open(file):
                typer.echo("No browser could be started: open the address above.", err=True)
            _stay(cluster, way, service_account, code)


def _stay(cluster: Cluster, way: Forward, service_account: str, code: str) -> None:
    """Prolong the session as long as the forward lives and the user has a token. Raises ConsoleError."""
    while True:
        try:
            way.process.wait(RENEW_S)
        except subprocess.TimeoutExpired:
            if not renew(way.url, user_token(cluster, service_account), code):
                raise ConsoleError("you signed out on the page: run this again to look") from None
            continue
        raise ConsoleError("the port-forward ended, as when the console's pod was replaced: run this again")
