"""Calls to the API server that the user's kubeconfig names. Each has a limit of time and errors that say what to do."""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from ibfeed.errors import ClusterRefusedError, ClusterUnreachableError, MissingExtraError, MissingObjectError

if TYPE_CHECKING:
    from pykube.http import HTTPClient

Object = dict[str, Any]
OURS: Final = "ibfeed.dev/v1alpha1"
SECONDS: Final = 10.0  # the limit of one call
MERGE_PATCH: Final = "application/merge-patch+json"


class Cluster:
    """One API server, and the namespace that the user means.

    Args:
        http: pykube's client.
        namespace: of the feeds.
    """

    def __init__(self, http: HTTPClient, namespace: str) -> None:
        self._http = http
        self.namespace = namespace

    def get(self, resource: str, name: str, *, api: str = OURS, namespace: str | None = None) -> Object:
        """Return an object, such as ``get("ibfeeds", "energy")`` or ``get("pods", "energy-0", api="v1")``.

        Args:
            resource: the kind in the plural, as in a path.
            name: of the object.
            api: group and version.
            namespace: another than the cluster's; empty: the kind has none.

        Raises:
            MissingObjectError: it is not there.
            ClusterRefusedError, ClusterUnreachableError: as each call.
        """
        return self.call("GET", self._path(resource, api, namespace, name))

    def items(self, resource: str, *, api: str = OURS, labels: str = "", namespace: str | None = None) -> list[Object]:
        """Return the objects of a kind, those with ``labels`` (``"ibfeed.dev/feed=energy"``) or all."""
        query = {"labelSelector": labels} if labels else {}
        return list(self.call("GET", self._path(resource, api, namespace), query=query).get("items") or [])

    def patch(
        self, resource: str, name: str, change: Object, *, api: str = OURS, namespace: str | None = None
    ) -> Object:
        """Change an object by a JSON merge patch, and return it as it is then."""
        return self.call("PATCH", self._path(resource, api, namespace, name), body=change)

    def replace(
        self, resource: str, name: str, body: Object, *, api: str = OURS, namespace: str | None = None, dry_run: bool
    ) -> Object:
        """Replace an object, and return it as the API server has checked and completed it.

        Args:
            resource, name, api, namespace: as in ``get``.
            body: the whole object.
            dry_run: write nothing.
        """
        query = {"dryRun": "All"} if dry_run else {}
        return self.call("PUT", self._path(resource, api, namespace, name), query=query, body=body)

    def create(self, resource: str, body: Object, *, api: str = OURS, namespace: str | None = None) -> Object:
        """Create an object, and return it. Reviews of access are such objects."""
        return self.call("POST", self._path(resource, api, namespace), body=body)

    def delete(self, resource: str, name: str, *, api: str = OURS, namespace: str | None = None) -> None:
        """Delete an object."""
        self.call("DELETE", self._path(resource, api, namespace, name))

    def text(self, path: str, *, query: Mapping[str, str] | None = None) -> str:
        """Return what the API server answers for ``path`` as text: logs, or the answer of a proxied pod."""
        content: bytes = self._send("GET", path, query or {}, None).content
        return content.decode("utf-8", "replace")  # requests would take text/plain for Latin-1

    def lines(self, path: str, *, query: Mapping[str, str]) -> Iterator[str]:
        """Yield the lines of an answer that goes on for as long as the server likes, such as a log that is followed."""
        import requests

        answer = self._send("GET", path, query, None, stream=True)
        try:
            for line in answer.iter_lines(chunk_size=1):
                yield line.decode("utf-8", "replace")
        except requests.RequestException as error:
            raise ClusterUnreachableError(
                f"the API server ended its answer ({type(error).__name__}); ask for it again"
            ) from None

    def time(self) -> dt.datetime:
        """Return the API server's time, which it tells in whole seconds."""
        from email.utils import parsedate_to_datetime

        return parsedate_to_datetime(self._send("GET", "/version", {}, None).headers["Date"])

    def token(self) -> str:
        """Return the bearer token with which the kubeconfig's user calls; empty: they use a certificate instead.

        Wherever it comes from (a program, a file, OpenID Connect), it is that of a call made just now.
        """
        sent = self._send("GET", "/version", {}, None).request.headers.get("Authorization", "")
        scheme, _, token = str(sent).partition(" ")
        return token if scheme == "Bearer" else ""

    def call(
        self, verb: str, path: str, *, query: Mapping[str, str] | None = None, body: Object | None = None
    ) -> Object:
        """Return the JSON that the API server answers.

        Raises:
            MissingObjectError: 404.
            ClusterRefusedError: another refusal; the text has the server's reason.
            ClusterUnreachableError: no answer, or not within ten seconds.
        """
        answer: Object = self._send(verb, path, query or {}, body).json()
        return answer

    def _send(
        self, verb: str, path: str, query: Mapping[str, str], body: Object | None, *, stream: bool = False
    ) -> Any:
        import requests

        headers = {"Content-Type": MERGE_PATCH} if verb == "PATCH" else {}
        url = f"{self._http.url}{path}"
        try:
            answer = self._http.session.request(
                verb,
                url,
                params=dict(query),
                json=body,
                headers=headers,
                timeout=(SECONDS, None if stream else SECONDS),
                stream=stream,
            )
        except requests.RequestException as error:
            raise ClusterUnreachableError(
                f"the API server {self._http.url} gives no answer ({type(error).__name__}); check the network and the"
                " context of your kubeconfig (kubectl config current-context)"
            ) from None
        if answer.ok:
            return answer
        reason = _reason(answer)
        if answer.status_code == requests.codes.not_found:
            raise MissingObjectError(reason)
        if answer.status_code == requests.codes.unauthorized:
            raise ClusterRefusedError(f"the API server does not know you ({reason}); log in to the cluster again")
        raise ClusterRefusedError(f"the API server refuses: {reason}")

    def _path(self, resource: str, api: str, namespace: str | None, name: str = "") -> str:
        root = f"/api/{api}" if "/" not in api else f"/apis/{api}"
        scope = self.namespace if namespace is None else namespace
        where = f"{root}/namespaces/{scope}/{resource}" if scope else f"{root}/{resource}"
        return f"{where}/{name}" if name else where


def connect(*, context: str = "", namespace: str = "") -> Cluster:
    """Return the cluster of the kubeconfig, or of the pod in which this runs.

    Args:
        context: a context of the kubeconfig; empty: its current one.
        namespace: of the feeds; empty: the context's.

    Raises:
        MissingExtraError: ``ibfeed[cluster]`` is not installed.
        ClusterUnreachableError: there is no kubeconfig, or it has no such context.
    """
    try:
        from pykube.config import KubeConfig
        from pykube.exceptions import PyKubeError
        from pykube.http import HTTPClient
    except ImportError:
        raise MissingExtraError("this command needs pykube-ng: pip install 'ibfeed[cluster]'") from None
    try:
        # Inside a pod there is a ServiceAccount; somebody who names a context means a kubeconfig.
        config = KubeConfig.from_file(current_context=context) if context else KubeConfig.from_env()
        if config.current_context not in config.contexts:
            raise KeyError(f"the kubeconfig has no context {config.current_context}")
        scope = namespace or config.namespace
        if config.cluster.get("insecure-skip-tls-verify"):  # as the kubeconfig wishes, and as kubectl is silent on it
            warnings.filterwarnings("ignore", "Unverified HTTPS request")
        return Cluster(HTTPClient(config, timeout=SECONDS), scope)
    except (PyKubeError, OSError, KeyError) as error:
        raise ClusterUnreachableError(
            f"no cluster is configured ({_words(error)}); set KUBECONFIG, or choose a context that"
            " `kubectl config get-contexts` shows"
        ) from None


def _reason(answer: Any) -> str:
    try:
        return str(answer.json().get("message") or answer.reason)
    except ValueError:
        return str(answer.reason)


def _words(error: Exception) -> str:
    return str(error.args[0]) if error.args else type(error).__name__
