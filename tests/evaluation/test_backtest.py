"""A backtest is the Simulator with a recorder, and its ledger explains every change of equity."""

import gymnasium
import numpy as np
import pytest

import gearing
from gearing.evaluation.metrics import max_drawdown
from gearing.evaluation.reports.tables import comparison, printed
from gearing.features import FeatureSet
from gearing.policies.controls import FundingGuard
from gearing.policies.rules import FixedLeverage, VolatilityTarget, VolatilityWeighted
from gearing.simulation import SimulationConfig, Simulator


@pytest.fixture(scope="module")
def market():
    return gearing.synthetic_market("market-b", seed=5, years=1)


@pytest.fixture(scope="module")
def result(market):
    return gearing.backtest(FixedLeverage(15.0), market, margin_share=0.2, name="15x")


class Replay:
    """Answers with targets that were recorded elsewhere."""

    required_columns = ()
    action_scheme = "target"

    def __init__(self, targets):
        self.targets = iter(targets)

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return next(self.targets), state


def test_the_backtest_gives_the_equity_of_the_env_to_the_last_bit(market):
    env = gymnasium.make("gearing/Perpetual-v0", market=market, start="first", max_leverage=30.0).unwrapped
    env.reset(seed=0)
    equity, targets = [env.simulator.accounts.equity[0]], []
    rng, over, liquidations = np.random.default_rng(3), False, 0
    while not over:
        _, _, terminated, truncated, info = env.step(rng.uniform(-1, 1, 1).astype(np.float32))
        targets.append(env.simulator.decided.copy())
        equity.append(info["equity"])
        liquidations += info["liquidations"]
        over = terminated or truncated
    assert liquidations > 0
    played = gearing.backtest(Replay(targets), market, "default", max_leverage=30.0)
    np.testing.assert_array_equal(equity, played.equity[: len(equity)])


def test_price_fees_funding_and_liquidation_add_up_to_the_change_of_equity(result):
    rows = result.ledger
    parts = rows[["price_pnl", "fees", "funding", "liquidation"]].sum(axis=1)
    np.testing.assert_allclose(parts, np.diff(result.equity), atol=1e-6)
    assert (rows.liquidations > 0).any()


def test_the_ledger_names_the_liquidation_price_below_the_entry(result):
    hit = result.ledger[result.ledger.liquidations > 0]
    assert (hit.execution_price <= hit.liquidation_price * (1 + 1e-9)).all()  # at it, or beyond it on a gap


def test_results_stand_side_by_side_in_a_table(market, result):
    other = gearing.backtest(FixedLeverage(1.0), market, name="1x")
    table = printed(comparison([result, other]))
    assert list(table.index) == ["15x", "1x"]
    assert all(isinstance(cell, str) for cell in table.to_numpy().ravel())


def test_a_column_that_does_not_exist_is_refused_before_anything_runs(market):
    with pytest.raises(ValueError, match="nobodys_forecast"):
        gearing.backtest(VolatilityTarget(column="nobodys_forecast"), market)


def test_a_registered_column_is_computed_when_a_rule_requests_it(market):
    assert "realized_volatility_7d" in FeatureSet.default().columns
    rule = VolatilityTarget(target=0.5, column="parkinson_volatility_24h")
    assert np.isfinite(gearing.backtest(rule, market).equity).all()


def first_decision(rule, market, features=None, **settings):
    return gearing.backtest(rule, market, features, **settings).time[0] - market.open_time[0]


def test_the_first_decision_is_as_early_as_the_columns_allow(market):
    day = np.timedelta64(1, "D")
    assert (
        first_decision(FixedLeverage(3.0), market) == day
    )  # the bare minimum: one bar, then the next midnight
    week = VolatilityTarget(target=0.5, column="realized_volatility_7d")
    assert 7 * day <= first_decision(week, market) <= 8 * day
    month = 30 * day
    assert (
        month
        <= first_decision(FixedLeverage(3.0), market, direction="signal:momentum_long_30d")
        <= month + day
    )
    guarded = [FundingGuard(0.5, column="funding_carry_7d")]
    assert 7 * day <= first_decision(FixedLeverage(3.0), market, controls=guarded) <= 8 * day
    default = FeatureSet.default()
    assert first_decision(FixedLeverage(3.0), market, default) >= 90 * day
    assert first_decision(FixedLeverage(3.0), market, "default") >= 90 * day
    assert first_decision(VolatilityWeighted(), market, ["default"]) >= 90 * day


def test_the_python_function_and_the_command_begin_at_the_same_decision(market):
    table = FeatureSet(["volatility_percentile_90d"]).compute(market)
    rule = VolatilityWeighted()
    alone, given = gearing.backtest(rule, market), gearing.backtest(rule, market, table)
    np.testing.assert_array_equal(alone.time, given.time)
    np.testing.assert_array_equal(alone.equity, given.equity)


def test_a_window_that_no_one_requested_before_is_a_feature_all_the_same(market):
    rule = VolatilityTarget(target=0.5, column="realized_volatility_41h")
    assert np.isfinite(gearing.backtest(rule, market).equity).all()


def test_a_column_that_was_not_declared_is_missed_with_what_to_do(market):
    class Undeclared(Replay):
        def predict(self, observation, state=None, episode_start=None, deterministic=False):
            return np.abs(observation["momentum_30d"]), state

    with pytest.raises(KeyError, match=r"momentum_30d.*required_columns"):
        gearing.backtest(Undeclared([]), market)


def test_what_is_no_policy_is_refused_with_what_it_lacks(market):
    class Bare:
        def predict(self, observation, state=None, episode_start=None, deterministic=False):
            return np.ones((1, 1)), state

    with pytest.raises(TypeError, match=r"Bare has no required_columns, action_scheme"):
        gearing.backtest(Bare(), market)


def test_the_figure_draws_every_policy(result):
    figure = result.plot()
    assert len(figure.axes) == 3
    assert figure.legends[0].get_texts()[0].get_text().startswith("15x")


def test_an_unknown_setting_is_refused(market):
    with pytest.raises(TypeError, match="margin_share"):
        gearing.backtest(FixedLeverage(), market, margin_shre=0.1)


def test_drawdowns_are_those_at_the_closes_of_all_bars(market):
    settings = {"margin_share": 0.3, "max_leverage": 20.0, "start": "first"}
    table = FeatureSet(["log_return"]).compute(market)
    daily = gearing.backtest(FixedLeverage(4.0), market, table, **settings)
    assert daily.end == len(daily.equity) - 1  # not ruined: an account that ends begins anew
    # The same decisions, with equity looked at every hour.
    config = SimulationConfig(**{**settings, "start": str(daily.time[0]), "decision_interval": "1h"})
    hourly = Simulator(market, table, config)
    hourly.reset(seed=0)
    path = [float(hourly.accounts.equity[0])]
    hours = int((daily.time[daily.end] - daily.time[0]) / np.timedelta64(1, "h"))
    for _ in range(hours):
        decides = hourly.time[0] in daily.time
        hourly.step(np.array([[4.0 if decides else np.nan]]))
        path.append(float(hourly.accounts.equity[0]))
    assert path[-1] == pytest.approx(daily.equity[daily.end], rel=1e-9)
    assert daily.row["max_drawdown"] == pytest.approx(max_drawdown(path), rel=1e-9)
    assert daily.row["max_drawdown"] > max_drawdown(daily.equity[: daily.end + 1])
