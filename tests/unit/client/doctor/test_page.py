"""The documentation has the findings that the checks have, and examples as the command prints them."""

from __future__ import annotations

import dataclasses

from rich.console import Console
from typer.testing import CliRunner

from ibfeed.cli.doctor import json_text, text_lines
from ibfeed.cli.main import app
from ibfeed.doctor.diagnosis import diagnose
from ibfeed.doctor.facts import Unknown
from support.doctor_facts import HEALTHY, INSTALLATION, with_topic
from support.doctor_page import PAGE, with_table


def test_page_has_the_findings_of_the_checks() -> None:
    page = PAGE.read_text()
    assert page == with_table(page), "run: PYTHONPATH=client:tests python tests/support/doctor_page.py"


def test_finding_is_printed_with_cause_and_command() -> None:
    facts = dataclasses.replace(HEALTHY, **with_topic("l2-data", None), sinks=Unknown("you may not [list] ibsinks"))
    console = Console(width=60)
    with console.capture() as capture:
        for line in text_lines(diagnose(INSTALLATION, [facts])):
            console.print(line, soft_wrap=True)
    text = capture.get()
    assert "    ERROR topic l2-data: it is not there, or Kafka does not show it to you (topic-missing)\n" in text
    assert "      mend:  kafka-topics.sh --bootstrap-server kafka:9092 --topic l2-data --create --partitions 12" in text
    assert "    not checked sinks: you may not [list] ibsinks\n" in text
    assert text.endswith("1 error; 1 could not be checked\n")


def test_json_has_sections_with_findings() -> None:
    text = json_text(diagnose(INSTALLATION, [dataclasses.replace(HEALTHY, **with_topic("l2-data", None))]))
    assert '"exitCode": 4' in text
    assert '"code": "topic-missing"' in text


def test_help_says_the_exit_codes() -> None:
    done = CliRunner().invoke(app, ["doctor", "--help"])
    assert done.exit_code == 0
    assert "4 an error is found" in " ".join(done.output.split())
