"""The tests, cheapest first."""

from __future__ import annotations

import os
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path

from ibfeed_local import compiled, layout
from ibfeed_local.command import attached, beside
from ibfeed_local.daemons import MARK
from ibfeed_local.progress import headline
from ibfeed_local.state import SOURCE, State

PACKAGES = (
    "api/ibfeed_api",
    "operator/ibfeed_operator",
    "worker/ibfeed_worker",
    "simulator/ibfeed_simulator",
    "platform/ibfeed_platform",
    "client/ibfeed",
)
# These run a second time on the compiled modules, as the worker's image has them. Cluster tests run that image.
DATA_PATH = (
    "tests/unit/worker/stream",
    "tests/unit/worker/publish",
    "tests/unit/worker/ticks",
    "tests/component/test_stream_kafka.py",
)
# Component tests that measure no time: in virtual time, or with limits of minutes.
CALM = (
    "tests/component/test_clients.py",
    "tests/component/test_contracts_topic.py",
    "tests/component/test_kafka_security.py",
    "tests/component/test_maintenance.py",
    "tests/component/test_schema_registry.py",
    "tests/component/test_simulator_gateway.py",
    "tests/component/test_soak.py",
    "tests/component/test_stream_first_records.py",
    "tests/component/test_stream_fuzz.py",
    "tests/component/test_stream_kafka_faults.py",
)
BESIDE = ("tests/hollow", "tests/downstream", *CALM)  # run while those of the cluster wait
PURE = "without I/O"  # the end of the names of the import contracts that list pure modules
COVERED = 98  # per cent of their lines
IMAGE_VARIABLE = "IBFEED_GATEWAY_IMAGE"  # tests/gateway: the worker's image with the distribution under test
# Ruff has these rules, too (S104, ...), and asks for a reason on each line that breaks one. So it does with bandit's
# rules of low severity, which are not asked for again.
JUDGED_BY_RUFF = "B104,B108,B310,B314,B608"
TYPED = (*PACKAGES, "local/ibfeed_local", "worker/image", "tests", "benchmarks")


def lint(state: State) -> int:
    """Check style, types and import contracts. Return the number of tools that found something."""
    bin_ = state.venv / "bin"
    imports = os.pathsep.join(str(SOURCE / Path(package).parent) for package in PACKAGES)
    environment = {"PYTHONPATH": imports, "MYPYPATH": ""}
    tools: dict[str, list[str | Path]] = {
        "ruff check": [bin_ / "ruff", "check", "--no-cache", "."],
        "ruff format": [bin_ / "ruff", "format", "--no-cache", "--check", "--quiet", "."],
        "mypy --strict": [bin_ / "mypy", "--cache-dir", state.cache / "mypy", *TYPED],
        "bandit": [bin_ / "bandit", "--quiet", "--recursive", "-ll", "-ii", "--skip", JUDGED_BY_RUFF, *PACKAGES],
        "import contracts": [bin_ / "lint-imports", "--no-cache"],
    }
    failures = 0
    for name, arguments in tools.items():
        headline(name)
        failures += bool(attached(arguments, environment=environment, folder=SOURCE))
    return failures


def fast(state: State) -> int:
    """Run lint and the unit tests, which need neither cluster nor Kafka. Return the number of failures."""
    failures = lint(state)
    headline("unit tests")
    # Many of them wait for a time limit rather than for the processor, so more run at once than there are cores.
    failures += bool(_pytest(state, "tests/unit", "-q", "-n", "4"))
    return failures


def coverage(state: State) -> int:
    """Run the unit tests and measure which lines of the pure modules they reach. Return the number of failures."""
    contracts = tomllib.loads((SOURCE / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    pure = [contract["source_modules"] for contract in contracts if contract["name"].endswith(PURE)]
    measured = [f"--cov={module}" for modules in pure for module in modules]
    asked = ["--cov-config=/dev/null", "--cov-report=term-missing:skip-covered", f"--cov-fail-under={COVERED}"]
    headline(f"lines of the pure modules that the unit tests reach; at least {COVERED} %")
    environment = {"COVERAGE_FILE": str(state.log / "coverage")}
    return int(bool(_pytest(state, "tests/unit", "-q", "-n", "2", *measured, *asked, environment=environment)))


def on_the_cluster(state: State) -> int:
    """Run all tests that need `up`. Return the number of suites that failed."""
    headline("the data path, compiled")
    imports = f"pythonpath={compiled.folder(state)} operator simulator platform client local tests benchmarks"
    failures = int(bool(_pytest(state, *DATA_PATH, "-q", "-n", "3", "-o", imports)))
    headline("tests/component")
    rest = (f"--ignore={path}" for path in CALM)
    failures += bool(_pytest(state, "tests/component", "-v", "-n", "3", *rest))
    # The tests of one file share what they start: a control plane, or Spark. They fill the time in which those of the
    # cluster wait.
    log = state.log / "tests-beside.log"
    asked = _arguments(state, *BESIDE, "-v", "-n", "2", "--dist", "loadfile")
    with beside(asked, log, environment=surroundings(state), folder=SOURCE) as others:
        # One after the other: they share the namespace that a user would use.
        headline("tests/cluster, and the calm ones beside it")
        failures += bool(_pytest(state, "tests/cluster", "-v"))
        failures += bool(others())
    headline(", ".join(BESIDE))
    print(log.read_text(), flush=True)
    if failures:
        # The first suite's report is thousands of lines up by now, and a log is often kept by its end only.
        headline("what failed")
        for suite in (Path(DATA_PATH[0]).name, "component", Path(BESIDE[0]).name, "cluster"):
            report = _report(state, suite)
            lines = failed(report.read_text()) if report.exists() else [f"tests/{suite} ended before its report"]
            print("\n".join(lines), flush=True)
    return failures


def gateway(state: State, image: str) -> int:
    """Accept the gateway distribution that is in the worker's ``image``. Figures go to the log folder."""
    headline("tests/gateway")
    figures = state.log / "gateway-figures.json"
    failures = int(bool(_pytest(state, "tests/gateway", "-v", "--figures", str(figures), image=image)))
    headline("other people's clients")
    failures += bool(_pytest(state, "tests/component/test_clients.py", "-v"))
    print(f"figures: {figures}", flush=True)
    return failures


def failed(report: str) -> list[str]:
    """Return a line for each failed test of a JUnit report, with the first line of its message."""
    lines = []
    for case in ET.fromstring(report).iter("testcase"):
        for trouble in (*case.iter("failure"), *case.iter("error")):
            why = trouble.get("message", "").partition("\n")[0]
            lines.append(f"{case.get('classname')}::{case.get('name')}: {why}")
    return lines


def _report(state: State, suite: str) -> Path:
    return state.log / f"tests-{suite}.xml"


def _pytest(
    state: State, folder: str, *options: str, image: str = "", environment: dict[str, str] | None = None
) -> int:
    variables = surroundings(state) | {IMAGE_VARIABLE: image} | (environment or {})
    return attached(_arguments(state, folder, *options), environment=variables, folder=SOURCE)


def _arguments(state: State, folder: str, *options: str) -> list[str | Path]:
    report = _report(state, Path(folder).name)
    report.unlink(missing_ok=True)
    return [state.python, "-m", "pytest", "-p", "no:cacheprovider", *options, folder, f"--junitxml={report}"]


def surroundings(state: State) -> dict[str, str]:
    """Return the variables by which tests and benchmarks find the local cluster."""
    return {
        "IBFEED_STATE": str(state.root),
        "KUBECONFIG": str(state.kubeconfig),
        "KAFKA": layout.KAFKA,
        MARK: str(state.root),  # by it `down` finds what a killed run left behind
        "PATH": f"{state.bin}{os.pathsep}{os.environ['PATH']}",
    }
