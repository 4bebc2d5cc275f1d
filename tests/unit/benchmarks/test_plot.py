"""The picture of the results is well-formed, and shows each run and each length."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from ownership.plot import drawing


def test_each_run_and_each_length_is_drawn() -> None:
    results = {
        "crash_recovery_runs_s": [[0.8, 1.1, 1.6], [0.7, 1.0, 4.2]],
        "phased_silences": {"0.4": 900, "0.5": 80_000, "1.1": 1},
    }
    picture = ET.fromstring(drawing(results))
    drawn = [element.tag.rpartition("}")[2] for element in picture.iter()]
    assert drawn.count("circle") == 2
    assert drawn.count("rect") == 1 + 3  # the ground, too
    assert all(float(rect.get("height", "0")) > 0 for rect in picture.iter("{http://www.w3.org/2000/svg}rect"))
