"""The charts by Helm, beside the manifests by kustomize: the same objects, and a life on a real API server."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.parse
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from ibfeed_local import deploy
from ibfeed_local.state import State
from ibfeed_local.target import Target
from support.cluster import ROOT, STATE
from support.control_plane import ADMIN, KUBE, OPERATOR, ControlPlane, control_plane
from support.hollow import Crew
from support.hollow_feed import Feed, hollow_crew
from support.operator_process import Operator

HELM = STATE / "bin" / "helm"
CHARTS = ROOT / "charts"
OVERLAYS = ("local", "kind", "azure", "strimzi")
SYSTEM = "ibfeed-system"
Key = tuple[str, str, str]
apart = asyncio.to_thread  # the crew's loop must not wait for a program, or its workers seem dead

pytestmark = pytest.mark.asyncio(loop_scope="module")


def helm(*words: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
    assert HELM.exists(), f"{HELM} is missing: run make test once"
    command = [str(HELM), *words, "--namespace", SYSTEM]
    variables = {**os.environ, **environment}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=variables)
    assert not check or not done.returncode, done.stderr
    return done


def by_helm(*options: str) -> dict[Key, dict[str, Any]]:
    return keyed(helm("template", "ibfeed", str(CHARTS / "ibfeed"), "--skip-tests", *options).stdout)


def by_kustomize(folder: str | Path) -> dict[Key, dict[str, Any]]:
    command = [str(KUBE), "kubectl", "kustomize", str(ROOT / "manifests" / folder)]
    return keyed(subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout)


def keyed(text: str) -> dict[Key, dict[str, Any]]:
    """Return the objects by kind, namespace and name. The namespace of a release is not in it."""
    found = [item for item in yaml.safe_load_all(text) if item]
    objects = {(o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]): o for o in found}
    assert len(objects) == len(found)
    objects.pop(("Namespace", "", SYSTEM), None)
    for item in objects.values():
        kept = item["metadata"].get("annotations", {})
        if kept.pop("helm.sh/resource-policy", None) and not kept:  # kustomize removes nothing by itself
            del item["metadata"]["annotations"]
    return objects


async def test_chart_without_values_is_the_base() -> None:
    assert by_helm() == by_kustomize("operator")


@pytest.mark.parametrize("name", OVERLAYS)
async def test_overlay_and_its_values_render_the_same(name: str) -> None:
    values = CHARTS / "ibfeed" / "values" / f"{name}.yaml"
    assert by_helm("--values", str(values)) == by_kustomize(f"overlays/{name}")


async def test_make_up_deploys_the_local_overlay(tmp_path: Path) -> None:
    images = {part: f"localhost:5000/ibfeed/{part}:1" for part in ("operator", "worker", "platform", "simulator")}
    state = State(tmp_path)
    folder = deploy.overlay(state, Target(("kubectl",), "kubectl", images, "kafka:9092", "kafka:9092"))
    expected = by_kustomize("overlays/local")
    found = json.dumps(list(by_kustomize(folder).values()), sort_keys=True).replace("localhost:5000/", "")
    assert found.replace(':1"', ':local"') == json.dumps(list(expected.values()), sort_keys=True)


async def test_monitoring_is_that_of_the_manifests() -> None:
    asked = by_helm("--set", "monitoring.enabled=true")
    assert {key: asked[key] for key in asked.keys() - by_helm().keys()} == by_kustomize("monitoring")


async def test_charts_have_no_fault_that_helm_finds() -> None:
    assert "0 chart(s) failed" in helm("lint", str(CHARTS / "ibfeed"), str(CHARTS / "ibfeed-crds"), "--strict").stdout


@pytest.mark.parametrize(
    ("given", "image"),
    [
        ((), "ibfeed/operator:0.1.0"),
        (("image.registry=registry.example.com/team/",), "registry.example.com/team/ibfeed/operator:0.1.0"),
        (("image.registry=localhost:5000", "image.tag=2"), "localhost:5000/ibfeed/operator:2"),
        (("image.operator=own/operator:3", "image.tag=2"), "own/operator:3"),
        (("image.operator=own/operator@sha256:ab",), "own/operator@sha256:ab"),
    ],
)
async def test_name_of_an_image(given: tuple[str, ...], image: str) -> None:
    options = [word for value in given for word in ("--set-string", value)]
    deployment = by_helm(*options)["Deployment", SYSTEM, "ibfeed-operator"]
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == image


@pytest.mark.parametrize(
    ("given", "named"),
    [("replica=2", "replica"), ("replicas=0", "replicas"), ("watchNamespace=A_b", "watchNamespace")],
)
async def test_wrong_value_is_refused_by_its_name(given: str, named: str) -> None:
    refused = helm("template", "ibfeed", str(CHARTS / "ibfeed"), "--set", given, check=False)
    assert refused.returncode
    assert named in refused.stderr


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A cluster on which someone has applied `crds/`, and the namespace of the operator."""
    assert KUBE.exists(), f"{KUBE} is missing: run make up"
    manifests = [ROOT / "crds", ROOT / "manifests" / "operator" / "namespace.yaml"]
    with control_plane(tmp_path_factory.mktemp("control-plane"), manifests) as plane:
        yield plane


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def crew(plane: ControlPlane) -> AsyncIterator[Crew]:
    async with hollow_crew(plane) as crew:
        yield crew


async def test_overlays_are_what_the_api_server_takes(plane: ControlPlane, tmp_path: Path) -> None:
    """Each field by name and type, our definitions' rules, and Pod Security. Strimzi's kinds are not there."""
    every = [item for name in OVERLAYS for item in by_kustomize(f"overlays/{name}").values()]
    objects = [item for item in every if "strimzi" not in item["apiVersion"]]
    namespaces = {item["metadata"].get("namespace", SYSTEM) for item in objects}
    plane.kubectl("apply", "-f", str(written(tmp_path, [restricted(name) for name in namespaces])))
    assert len(dry_run(plane, tmp_path, objects).splitlines()) == len(objects)


async def test_all_values_of_a_pod_are_what_the_api_server_takes(plane: ControlPlane, tmp_path: Path) -> None:
    terms = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]}
    values = {
        "imagePullSecrets": [{"name": "registry"}],
        "nodeSelector": {"pool": "system"},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}},
        "priorityClassName": "system",
        "resources": {"limits": {"memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}},
    }
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))
    deployment = by_helm("--values", str(tmp_path / "values.yaml"))["Deployment", SYSTEM, "ibfeed-operator"]
    pod = deployment["spec"]["template"]["spec"]
    assert {name: pod[name] for name in values if name != "resources"} | {
        "resources": pod["containers"][0]["resources"]
    } == values
    assert "created" in dry_run(plane, tmp_path, [deployment])


async def test_pod_that_is_not_restricted_would_be_told(plane: ControlPlane, tmp_path: Path) -> None:
    """What the test above goes by."""
    deployment = by_kustomize("operator")["Deployment", SYSTEM, "ibfeed-operator"]
    del deployment["spec"]["template"]["spec"]["containers"][0]["securityContext"]
    with pytest.raises(subprocess.CalledProcessError) as refused:
        dry_run(plane, tmp_path, [deployment])
    assert "would violate PodSecurity" in refused.value.stderr


def dry_run(plane: ControlPlane, folder: Path, objects: list[dict[str, Any]]) -> str:
    words = ("apply", "--dry-run=server", "--validate=strict", "--warnings-as-errors")
    return plane.kubectl(*words, "-f", str(written(folder, objects)))


def restricted(namespace: str) -> dict[str, Any]:
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}}


def written(folder: Path, objects: list[dict[str, Any]]) -> Path:
    path = folder / "objects.yaml"
    path.write_text(yaml.safe_dump_all(objects))
    return path


async def test_life_of_a_release(crew: Crew, plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installed with rights to one namespace only, widened, taken back, removed: the feed streams on."""
    monkeypatch.setenv("KUBECONFIG", str(plane.kubeconfig(ADMIN)))
    # The definitions came by kubectl, and Helm takes them over.
    await apart(
        helm,
        "upgrade",
        "--install",
        "ibfeed-crds",
        str(CHARTS / "ibfeed-crds"),
        "--take-ownership",
        "--force-conflicts",
    )
    installed = await apart(helm, "install", "ibfeed", str(CHARTS / "ibfeed"), "--set", "watchNamespace=default")
    said = installed.stdout
    assert "!!" not in said, "definitions and Pod Security are as they should be"
    assert "for feeds of default" in said
    monkeypatch.setenv("IBFEED_NAMESPACE", "default")
    operator = Operator(plane)
    operator.start()
    try:
        feed = Feed(crew, "charted")
        await feed.apply(workers=2)
        await feed.ready(12, within=40)
        assert await apart(may, plane, "get", "secrets", "default")
        assert not await apart(may, plane, "get", "secrets", "kube-system")
        assert (await apart(check, plane)).startswith("0: ibfeed-operator-a")

        await apart(helm, "upgrade", "ibfeed", str(CHARTS / "ibfeed"), "--reset-values")
        assert await apart(may, plane, "get", "secrets", "kube-system")
        await apart(helm, "rollback", "ibfeed", "1")
        assert not await apart(may, plane, "get", "secrets", "kube-system")
        await apart(helm, "uninstall", "ibfeed")
        await apart(helm, "uninstall", "ibfeed-crds")
        assert "charted" in await apart(plane.kubectl, "get", "ibf", "-o", "name")
        assert len(feed.published()) == 12
        assert crew.lost("charted") == []
        assert crew.doubles == []
    finally:
        operator.kill()


def may(plane: ControlPlane, verb: str, what: str, namespace: str) -> bool:
    """Whether the operator may. The API server learns of rights by a watch, within a second."""
    time.sleep(1)
    command = [str(KUBE), "kubectl", "--kubeconfig", str(plane.kubeconfig(OPERATOR)), "auth", "can-i", verb, what]
    done = subprocess.run([*command, "-n", namespace], capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.strip() == "yes"


def check(plane: ControlPlane) -> str:
    """Run what `helm test` runs in a pod; return what it says. There are no pods here."""
    config = yaml.safe_load(plane.kubeconfig(ADMIN).read_text())
    address = urllib.parse.urlsplit(config["clusters"][0]["cluster"]["server"])
    account = plane.directory / "account"
    account.mkdir()
    (account / "token").write_text(config["users"][0]["user"]["token"])
    (account / "ca.crt").write_bytes((plane.directory / "certificates" / "apiserver.crt").read_bytes())
    variables = {
        "ACCOUNT": str(account),
        "NAMESPACE": SYSTEM,
        "KUBERNETES_SERVICE_HOST": str(address.hostname),
        "KUBERNETES_SERVICE_PORT": str(address.port),
    }
    script = by_helm_tests()["Pod", SYSTEM, "ibfeed-test"]["spec"]["containers"][0]["command"]
    done = subprocess.run(
        [sys.executable, *script[1:]],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return f"{done.returncode}: {done.stdout or done.stderr}"


def by_helm_tests() -> dict[Key, dict[str, Any]]:
    return keyed(
        helm("template", "ibfeed", str(CHARTS / "ibfeed"), "--show-only", "templates/tests/operator.yaml").stdout
    )
