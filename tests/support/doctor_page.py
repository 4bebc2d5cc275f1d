"""Writes the table of findings of ``docs/doctor.md`` from the checks: run it after a change of them."""

from __future__ import annotations

from pathlib import Path

from ibfeed.doctor.diagnosis import CATALOGUE

PAGE = Path(__file__).resolve().parents[2] / "docs/doctor.md"
BEGIN, END = "<!-- findings: written by tests/support/doctor_page.py -->\n", "<!-- end of findings -->"


def table() -> str:
    """Return the table."""
    rows = [f"| {subject} | `{fault.code}` | {fault.severity} | {fault.means} |" for subject, fault in CATALOGUE]
    return "\n".join(["| section | finding | severity | means |", "|---|---|---|---|", *rows]) + "\n"


def with_table(page: str) -> str:
    """Return the page with the present table."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}{table()}{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
