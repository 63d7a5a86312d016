"""A running experiment is never silent for long."""

import time

from gearing.studies.announcing import announcer


def test_a_step_that_takes_long_is_named_again():
    lines = []
    with announcer(lines.append, quiet=0.05) as tell:
        tell("agent seed 3")
        time.sleep(0.3)
    assert lines[0] == "agent seed 3"
    assert len(lines) >= 3
    assert all(line.startswith("  still at: agent seed 3 (") for line in lines[1:])


def test_steps_that_are_told_in_time_are_not_repeated():
    lines = []
    with announcer(lines.append, quiet=5.0) as tell:
        tell("one")
        tell("two")
    assert lines == ["one", "two"]
