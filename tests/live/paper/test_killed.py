"""A paper run that is killed at any moment goes on as if it had not been: no decision is lost or made twice."""

import os
import random
from functools import partial

import pandas as pd
import pytest
from tests.kills.processes import aimed, forked
from tests.live.paper import cases

from gearing.export.live.journal import Journal
from gearing.live.paper.report import ledger, shadow

# Half of the kills come at random moments, half just before or after a line is on disk.
STEPS = ((Journal, "append"), (os, "fsync"))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return cases.bundle(tmp_path_factory.mktemp("killed") / "bundle")


def go(chosen, folder, days):
    cases.run_to_end(chosen, folder, cases.feed(cases.market(days)))


def kill_often(action, times, seed, longest):
    """Run an action in processes that are killed; returns how many of them were."""
    draws, killed = random.Random(seed), 0
    for number in range(times):
        if number % 2:
            killed += forked(action, killed_after=draws.uniform(0.0, longest)) != 0
        else:
            step = draws.choice(STEPS)
            killed += forked(partial(aimed, action, step, draws.randint(1, 4), draws.random() < 0.5)) != 0
    return killed


@pytest.mark.parametrize(("times", "days"), [(5, 20), pytest.param(100, 200, marks=pytest.mark.slow)])
def test_a_run_that_is_killed_again_and_again_ends_with_the_ledger_of_one_that_was_not(
    times, days, bundle, tmp_path
):
    part = cases.market(days)
    whole = cases.run_to_end(bundle, tmp_path / "whole", cases.feed(part))
    killed = kill_often(
        partial(go, bundle, tmp_path / "killed", days), times, seed=times, longest=0.006 * days
    )
    assert killed >= times // 2
    run = cases.run_to_end(bundle, tmp_path / "killed", cases.feed(part))
    moments = [line["time"] for line in run.decisions]
    assert moments == sorted(set(moments))
    assert moments == [line["time"] for line in whole.decisions]
    assert [line["paper"]["targets"] for line in run.decisions] == [
        line["paper"]["targets"] for line in whole.decisions
    ]
    pd.testing.assert_frame_equal(ledger(run), ledger(whole), check_exact=True)
    pd.testing.assert_frame_equal(shadow(run), shadow(whole), check_exact=True)
