"""The Makefile is the list of verbs with a text for each."""

from __future__ import annotations

import re
import subprocess

from ibfeed_local.state import SOURCE
from ibfeed_local.verbs import VERBS


def test_help_has_a_text_for_each_verb() -> None:
    told = subprocess.run(["make", "--silent", "help"], cwd=SOURCE, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"^make ([a-z-]+) +\S", told, re.MULTILINE) == list(VERBS)
    assert 'eval "$(make -s kubeconfig)"' in told
    for variable in ("IBFEED_STATE", "CLUSTER", "IMAGES", "TAG", "KAFKA"):
        assert f"{variable}=" in told


def test_each_target_runs_its_verb() -> None:
    for verb in VERBS:
        asked = ["make", "--dry-run", "--no-print-directory", verb]
        command = subprocess.run(asked, cwd=SOURCE, capture_output=True, text=True, check=True).stdout
        assert command.strip().endswith(f"python3 -m ibfeed_local {verb}")
