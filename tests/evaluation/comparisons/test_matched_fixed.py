"""Fixed leverage of the same mean, or of the same volatility, as a policy."""

import numpy as np
import pytest

import gearing
from gearing.evaluation.comparisons.matched_fixed import FixedGrid, interpolated, matched_fixed
from gearing.evaluation.comparisons.placebo import circular_shifts
from gearing.policies.rules import FixedLeverage, VolatilityWeighted
from gearing.simulation import SimulationConfig, Simulator

SETTINGS = {"margin_share": 0.2, "max_leverage": 20.0}


@pytest.fixture(scope="module")
def market():
    return gearing.synthetic_market("market-b", seed=5, years=1)


@pytest.fixture(scope="module")
def result(market):
    return gearing.backtest(VolatilityWeighted(3.0, 12.0), market, **SETTINGS)


def test_matched_fixed_leverage_has_the_same_leverage_and_the_same_volatility(market, result):
    matched = matched_fixed(result, market)
    row = matched.same_leverage.row
    assert row["effective_leverage"] == pytest.approx(result.row["effective_leverage"], rel=2e-3)
    assert matched.same_volatility.performance.volatility == pytest.approx(
        result.performance.volatility, rel=2e-2
    )
    leverage, level = matched.growth()
    assert leverage.low <= leverage.estimate <= leverage.high
    assert level.estimate == pytest.approx(
        result.performance.log_growth - matched.same_volatility.performance.log_growth, abs=1e-9
    )
    assert matched.table.index[0] == "VolatilityWeighted"


def test_a_fixed_leverage_is_matched_by_itself(market):
    fixed = gearing.backtest(FixedLeverage(4.0), market, **SETTINGS)
    matched = matched_fixed(fixed, market)
    assert matched.same_leverage.performance.log_growth == pytest.approx(
        fixed.performance.log_growth, abs=2e-3
    )


def test_what_was_not_played_lies_between_its_neighbours():
    leverage, growth = np.array([0.0, 1.0, 2.0]), np.array([[0.0, 0.0], [0.1, -0.1], [0.15, -0.25]])
    np.testing.assert_allclose(interpolated(leverage, growth, 1.5), [0.125, -0.175])
    np.testing.assert_allclose(interpolated(leverage, growth, 0.0), [0.0, 0.0])
    np.testing.assert_allclose(interpolated(leverage, growth, 9.0), growth[2])  # no more than the largest


def test_a_grid_finds_the_size_of_a_mean_leverage(market):
    config = SimulationConfig(**SETTINGS, start="first")
    simulator = Simulator(market, gearing.FeatureSet(["log_return"]).compute(market), config, 12)
    simulator.reset(seed=0)
    grid = FixedGrid.play(simulator, flat=True)
    assert (grid.sizes[0], grid.sizes[-1]) == (0.0, pytest.approx(20.0))
    assert grid.accounts.leverage[0] == 0.0
    assert grid.matched_size("leverage", grid.accounts.leverage[4]) == pytest.approx(grid.sizes[4])
    np.testing.assert_allclose(grid.at_leverage(grid.accounts.leverage[4], grid.growth), grid.growth[4])


@pytest.mark.parametrize("direction", ["signal:momentum_side_7d", "signal:momentum_long_30d"])
def test_trades_whose_leverage_is_chosen_at_the_entry_have_matched_fixed_leverage(market, direction):
    # three times 0.2 of the equity: the matched fixed leverage is the rule itself
    settings = {
        "decision": "at_entry",
        "direction": direction,
        "margin_share": 0.2,
        "decision_interval": "8h",
    }
    result = gearing.backtest(FixedLeverage(3.0), market, "default", **settings)
    found = matched_fixed(result, market)
    assert found.same_leverage.performance.log_growth == pytest.approx(
        result.performance.log_growth, rel=0.02
    )
    assert found.same_leverage.row["effective_leverage"] == pytest.approx(
        result.row["effective_leverage"], rel=2e-3
    )
    assert found.same_volatility.time[0] == result.time[0]
    assert np.isfinite(found.growth()[0].estimate)
    assert np.isfinite(circular_shifts(result, market, shifts=5).shifted).all()
