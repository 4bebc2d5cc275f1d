from __future__ import annotations

from ibfeed_local.verify import failed

REPORT = """<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite name="pytest">
<testcase classname="tests.component.test_a" name="test_fine" time="0.1"/>
<testcase classname="tests.component.test_a" name="test_wrong[2]">
<failure message="assert 1 == 2&#10; more">long</failure></testcase>
<testcase classname="tests.component.test_b" name="test_broken"><error message="failed on setup">long</error></testcase>
<testcase classname="tests.component.test_b" name="test_left_out"><skipped message="no browser"/></testcase>
</testsuite></testsuites>"""


def test_each_failed_test_is_named_with_the_first_line_of_why() -> None:
    assert failed(REPORT) == [
        "tests.component.test_a::test_wrong[2]: assert 1 == 2",
        "tests.component.test_b::test_broken: failed on setup",
    ]
