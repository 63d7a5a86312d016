"""Risk controls and signal columns in every face: the same list, the same numbers, a report of what it did."""

import gymnasium
import numpy as np
import pytest

import gearing
from gearing.policies.controls import CoolDown, FundingGuard, PortfolioLimit, StopLoss
from gearing.policies.rules import FixedLeverage, VolatilityWeighted

CONTROLS = (StopLoss(margin=0.3), FundingGuard(0.1, keep=0.5), CoolDown("48h"), PortfolioLimit(gross=5.0))


@pytest.fixture(scope="module")
def market():
    return gearing.synthetic_market("market-b", seed=5, years=1)


@pytest.fixture(scope="module")
def guarded(market):
    return gearing.backtest(FixedLeverage(9.0), market, "default", max_leverage=10.0, controls=CONTROLS)


def test_every_interface_applies_the_same_controls(market, guarded):
    env = gymnasium.make(
        "gearing/Perpetual-v0", market=market, start="first", max_leverage=10.0, controls=CONTROLS
    ).unwrapped
    envs = gymnasium.make_vec(
        "gearing/Perpetual-v0", num_envs=2, market=market, start="first", max_leverage=10.0, controls=CONTROLS
    )
    env.reset(seed=0)
    envs.reset(seed=0)
    action = np.array([0.8], np.float32)  # 0.9 of 10x
    for k in range(40):
        info = env.step(action)[4]
        infos = envs.step(np.array([[0.8], [0.8]], np.float32))[4]
        assert info["equity"] == pytest.approx(guarded.equity[k + 1], rel=1e-6)
        assert infos["equity"][1] == info["equity"]


def test_the_report_reports_how_often_and_when(guarded):
    report = guarded.control_report
    assert list(report.columns) == ["acted", "first", "last"]
    assert report.acted.tolist()[0] == guarded.ledgers.stops.sum() > 0
    stopped = np.flatnonzero(guarded.ledgers.stops[:, 0] > 0)
    assert report["first"].iloc[0] == guarded.time[stopped[0]]
    limit = report.loc[repr(CONTROLS[3])]
    assert limit.acted == (guarded.acted[:, 3]).sum() > 0
    assert guarded.time[0] <= limit["first"] <= limit["last"] < guarded.time[-1]


def test_recorded_targets_are_those_that_were_traded(guarded):
    assert np.nanmax(guarded.target) <= 5.0 + 1e-9


def test_without_controls_nothing_is_reported(market):
    assert gearing.backtest(FixedLeverage(2.0), market).control_report.empty


def test_a_signal_column_gives_the_side_and_is_computed_when_named(market):
    result = gearing.backtest(
        VolatilityWeighted(), market, direction="signal:momentum_side_7d", max_leverage=10.0
    )
    assert (result.target > 0.0).any()
    assert (result.target < 0.0).any()


def test_a_users_own_signal_joins_by_name(market):
    own = np.where(np.arange(market.n_bars) % 480 < 240, 1.0, -0.5)
    table = gearing.FeatureSet.default().compute(market).join("mine", own, lower=-1.0, upper=1.0)
    result = gearing.backtest(FixedLeverage(2.0), market, table, direction="signal:mine")
    assert set(np.unique(result.target)) == {2.0, -1.0}


def test_leverage_may_be_kept_from_entry_to_exit(market):
    result = gearing.backtest(
        VolatilityWeighted(),
        market,
        direction="signal:momentum_side_7d",
        decision="at_entry",
        max_leverage=10.0,
    )
    assert 5 < len(result.target) < 365  # one decision per trade
