"""A sweep chooses on the past, judges on the next, counts what it tried, and trades what a backtest would."""

import numpy as np
import pytest

import gearing
from gearing.evaluation.sweep.walk_forward import TriedConfigurations, sweep
from gearing.policies.rules import VolatilityWeighted

SPACE = {"rule": "volatility_weighted", "low": [0.5, 1.0, 2.0], "high": [2.0, 4.0, 8.0]}
SETTINGS = {"max_leverage": 10.0, "margin_share": 0.5}
WINDOWS = {"train": "120d", "test": "60d"}


@pytest.fixture(scope="module")
def market():
    return gearing.synthetic_market("market-b", seed=5, years=1)


@pytest.fixture(scope="module")
def done(market):
    return sweep(SPACE, market, **WINDOWS, **SETTINGS)


def test_a_configuration_grows_as_its_backtest_does(market):
    tried = TriedConfigurations(SPACE, market, None, SETTINGS, 1, "120d", "60d")
    tried.add([{"rule": "volatility_weighted", "low": 1.0, "high": 4.0}])
    alone = gearing.backtest(VolatilityWeighted(1.0, 4.0), market, ["volatility_percentile_90d"], **SETTINGS)
    first, last = tried.edges[0], tried.edges[1]
    expected = np.log(alone.equity[last] / alone.equity[first])
    assert tried.growth[0, 0] == pytest.approx(expected, abs=1e-12)


def test_the_choice_of_a_window_was_the_best_before_it(market, done):
    tried = TriedConfigurations(SPACE, market, None, SETTINGS, 1, "120d", "60d")
    grid = [{"rule": "volatility_weighted", "low": a, "high": b} for a in SPACE["low"] for b in SPACE["high"]]
    tried.add(grid)
    assert done.n_configurations == len(grid)
    for k, chosen in enumerate(done.chosen):
        assert chosen == grid[int(tried.growth[:, : k + 1].sum(axis=1).argmax())]


def test_what_comes_later_does_not_change_a_choice(market, done):
    shorter = sweep(SPACE, market.between(None, market.open_time[-24 * 80]), **WINDOWS, **SETTINGS)
    count = len(shorter.chosen)
    assert 0 < count < len(done.chosen)
    assert shorter.chosen == done.chosen[:count]
    np.testing.assert_array_equal(shorter.result.equity, done.result.equity[: len(shorter.result.equity)])


def test_the_traded_account_holds_the_chosen_leverage(market, done):
    first = VolatilityWeighted(done.chosen[0]["low"], done.chosen[0]["high"])
    start = str(done.result.time[0])
    alone = gearing.backtest(first, market, ["volatility_percentile_90d"], start=start, **SETTINGS)
    np.testing.assert_allclose(done.result.target[:60], alone.target[:60])
    np.testing.assert_allclose(done.result.equity[:61], alone.equity[:61])


@pytest.mark.parametrize("search", ["random", "optuna"])
def test_searches_are_repeatable_and_counted(search, market):
    space = {"rule": "volatility_weighted", "low": (0.5, 2.0), "high": (2.0, 8.0)}
    windows = {"train": "150d", "test": "60d"}
    found = [sweep(space, market, search=search, n=6, seed=1, **windows, **SETTINGS) for _ in range(2)]
    assert found[0].chosen == found[1].chosen
    per_window = 1 if search == "random" else len(found[0].chosen)
    assert found[0].n_configurations == 6 * per_window
    assert 0.0 <= found[0].deflated_sharpe <= 1.0
    counts = [6 * (k + 1 if search == "optuna" else 1) for k in range(len(found[0].chosen))]
    assert found[0].windows.configurations.tolist() == counts  # known when the window's choice was made


def test_optuna_passes_over_rounds_in_which_nothing_can_be_made(market):
    space = {"rule": "dynamic_atr", "low": (1.0, 8.0), "base": [1.5, 1.6]}  # nearly always low > base
    windows = {"train": "150d", "test": "150d"}
    done = sweep(
        space, market, search="optuna", n=33, seed=0, **windows, **SETTINGS
    )  # the last round is one trial
    assert 0 < done.n_configurations < 33
    assert (done.windows["low"] <= done.windows["base"]).all()
    with pytest.raises(ValueError, match="can be made"):
        sweep({**space, "low": (2.0, 8.0)}, market, search="optuna", n=3, **windows, **SETTINGS)


def test_a_sweep_of_which_nothing_survived_the_past_chooses_nothing(market):
    settings = {**SETTINGS, "margin_share": 1.0, "max_leverage": 50.0}
    with pytest.raises(ValueError, match="ruined before"):
        sweep({"rule": "fixed", "leverage": [45.0, 50.0]}, market, **WINDOWS, **settings)


def test_the_configurations_are_kept_their_number_and_the_deflated_ratio_logged(market):
    class Run:
        def log_params(self, params):
            self.params = params

        def log_metrics(self, metrics):
            self.metrics = metrics

    run = Run()
    done = sweep(
        {"rule": "fixed", "leverage": [1.0, 2.0]}, market, run=run, criterion="sharpe", **WINDOWS, **SETTINGS
    )
    assert run.params["n_configurations"] == 2
    assert run.metrics == {"deflated_sharpe": done.deflated_sharpe}
    assert sorted(done.tried.leverage) == [1.0, 2.0]
    assert done.tried.sharpe.is_monotonic_decreasing


def test_impossible_combinations_are_left_out_and_mistakes_are_not(market):
    for lows in ([1.0, 5.0], [5.0, 1.0]):  # 5 is above base 4
        space = {"rule": "dynamic_atr", "low": lows, "base": 4.0}
        assert sweep(space, market, **WINDOWS, **SETTINGS).n_configurations == 1
    with pytest.raises(ValueError, match="no parameter"):
        sweep({"rule": "fixed", "levrage": [1.0]}, market, **WINDOWS)
    with pytest.raises(ValueError, match="drawdown"):
        sweep({"rule": "drawdown_controlled"}, market, **WINDOWS)
    with pytest.raises(ValueError, match="range"):
        sweep({"rule": "fixed", "leverage": (1.0, 2.0)}, market, **WINDOWS)
    with pytest.raises(ValueError, match="fits behind"):
        sweep(SPACE, market, train="3650d")
