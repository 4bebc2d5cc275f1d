"""The release workflow names files, parts and arguments that there are. It runs on a tag only."""

from __future__ import annotations

import re

import yaml

from ibfeed_local import images
from ibfeed_local.state import SOURCE

TEXT = (SOURCE / ".github" / "workflows" / "release.yaml").read_text()
JOBS = yaml.safe_load(TEXT)["jobs"]


def test_each_image_of_the_product_is_released_for_both_architectures() -> None:
    assert set(JOBS["image"]["strategy"]["matrix"]["part"]) == {image.name for image in images.PRODUCT}
    (build,) = (step for step in JOBS["image"]["steps"] if step.get("id") == "build")
    assert build["with"]["platforms"] == "linux/amd64,linux/arm64"
    given = set(re.findall(r"^(\w+)=", build["with"]["build-args"], re.MULTILINE))
    known = set(re.findall(r"^ARG (\w+)", (SOURCE / "Dockerfile.worker").read_text(), re.MULTILINE))
    assert given <= known


def test_what_the_images_hold_is_audited() -> None:
    (audited,) = re.findall(r"for part in ([a-z ]+); do\n +pip-audit", TEXT)
    assert {f"{part}.txt" for part in audited.split()} <= {path.name for path in (SOURCE / "requirements").iterdir()}
    assert set(audited.split()) == {image.name for image in images.PRODUCT}
    assert "audit" in JOBS["image"]["needs"]


def test_both_charts_are_pushed() -> None:
    (pushed,) = re.findall(r"for chart in ([a-z -]+); do", TEXT)
    assert set(pushed.split()) == {path.name for path in (SOURCE / "charts").iterdir()}


def test_no_job_may_write_more_than_it_needs() -> None:
    assert yaml.safe_load(TEXT)["permissions"] == {"contents": "read"}
    writes = {name: {k for k, v in job.get("permissions", {}).items() if v == "write"} for name, job in JOBS.items()}
    assert writes["version"] == writes["audit"] == set()
    assert "contents" not in writes["image"]


def test_no_expression_of_a_person_s_reaches_a_shell() -> None:
    """A tag's or an actor's name in `run` would be code. Outputs of other jobs and secrets come as variables."""
    scripts = [step["run"] for job in JOBS.values() for step in job["steps"] if "run" in step]
    expressions = {found for script in scripts for found in re.findall(r"\$\{\{ *(.*?) *\}\}", script)}
    assert expressions <= {"matrix.part", "steps.build.outputs.digest"}
