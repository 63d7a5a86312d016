"""Policies in generated crashes."""

import numpy as np
import pytest

from gearing.evaluation.backtesting import backtest
from gearing.policies.rules import FixedLeverage
from gearing.studies.reading import load_config
from gearing.studies.runner import run_study
from gearing.studies.stress.run import Crash

EXPERIMENT = {
    "kind": "crash_stress", "name": "crashes", "paths": 3, "years": 0.3,
    "crashes": {
        "gap": {"scenario": "gap", "settings": {"size": -0.3}},
        "squeeze": {"scenario": "funding-squeeze", "direction": "short"},
    },
    "decision": {"interval": "24h", "max_leverage": 20, "margin_share": 0.3},
    "rules": {"fixed_1x": "fixed_1x", "fixed_10x": "fixed_10x"},
    "tracking": {"enabled": False},
}  # fmt: skip


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    return run_study(load_config({**EXPERIMENT, "output": str(tmp_path_factory.mktemp("runs"))}))


def test_growth_is_that_of_a_backtest_on_each_path(done):
    row = done.leaderboard.loc[("fixed_1x", "gap")]
    settings = {"direction": "long", "decision_interval": "24h", "max_leverage": 20.0, "margin_share": 0.3}
    paths = [Crash(scenario="gap", settings={"size": -0.3}).open(seed, 0.3) for seed in range(3)]
    played = [backtest(FixedLeverage(1.0), market, **settings) for market in paths]
    growth = [np.log(one.equity[-1] / one.equity[0]) for one in played]
    assert row["growth"] == pytest.approx(np.mean(growth), rel=1e-9)
    assert row["worst"] == pytest.approx(min(growth), rel=1e-9)
    assert row["growth_low"] <= row["growth"] <= row["growth_high"]


def test_a_gap_of_30_percent_liquidates_ten_times_leverage_and_not_one(done):
    # At 10x the whole margin is lost at 10 % down; at 1x 30 % of it.
    assert done.leaderboard["liquidated"].to_dict() == {
        ("fixed_1x", "gap"): 0.0, ("fixed_1x", "squeeze"): 0.0,
        ("fixed_10x", "gap"): 1.0, ("fixed_10x", "squeeze"): 1.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crashes": {"gap": {"scenario": "gab"}}}, "Did you mean 'gap'"),
        ({"crashes": {}}, "at least 1"),
        ({"paths": 1}, "at least 2"),
        ({"rules": {}}, "at least 1"),
    ],
)
def test_mistakes_are_refused_when_it_is_read(change, message):
    with pytest.raises(ValueError, match=message):
        load_config({**EXPERIMENT, **change})
