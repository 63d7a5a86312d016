"""A promise is judged by what came later."""

import numpy as np
import pytest
from tests.simulation.markets import contract, market as tiny_market

import gearing
from gearing.evaluation.columns import join_excursions
from gearing.evaluation.risk.budget_check import check_budget, check_safest_leverage
from gearing.policies.rules import ExcursionBudget, FixedLeverage, RiskBudget


@pytest.fixture(scope="module")
def walk():
    """A Gaussian walk of constant volatility in small steps: what the reflection principle is about."""
    closes = 100.0 * np.exp(np.cumsum(np.random.default_rng(4).normal(0.0, 0.004, 24 * 700)))
    return tiny_market(closes, contracts=[contract(rate=0.005)])


@pytest.mark.parametrize("side", [1, -1])
def test_on_a_gaussian_walk_the_risk_budget_keeps_its_word(walk, side):
    rule = RiskBudget(0.2, side=side, maintenance=0.005, column="realized_volatility_7d", max_leverage=50.0)
    checked = check_budget(rule, walk, ["realized_volatility_7d"], slippage=0.0)
    assert not checked.exceeded
    assert checked.realised.estimate == pytest.approx(
        0.2, abs=0.06
    )  # hourly closes see less than the continuous path
    assert "within budget" in str(checked)


def test_twice_the_leverage_of_the_budget_breaks_it(walk):
    rule = RiskBudget(0.05, tail=0.4, column="realized_volatility_7d", max_leverage=100.0)
    assert check_budget(rule, walk, ["realized_volatility_7d"], slippage=0.0).exceeded


@pytest.mark.parametrize("side", [1, -1])
def test_a_budget_of_drawdowns_counts_the_touches_of_the_mark_path(walk, side):
    rule = RiskBudget(
        0.2, event="drawdown", drawdown=0.3, side=side, column="realized_volatility_7d", max_leverage=50.0
    )
    checked = check_budget(rule, walk, ["realized_volatility_7d"], slippage=0.0)
    # By hand: every day from the first complete one, the worst mark of 24 bars against the entry at the first open.
    table = gearing.FeatureSet(["realized_volatility_7d"]).compute(walk)
    volatility = table.column("realized_volatility_7d").astype(float)
    midnight = walk.open_time.astype("datetime64[D]") == walk.open_time
    first = np.flatnonzero(midnight & (walk.open_time >= table.close_time[table.first_complete]))
    worst = walk.mark[:, 0, 2] if side > 0 else walk.mark[:, 0, 1]
    hits = []
    for k in first[first + 24 <= walk.n_bars]:
        leverage = rule.choose({"realized_volatility_7d": volatility[k - 1 : k]})[0, 0]
        moved = side * (1.0 - worst[k : k + 24] / walk.open[k, 0])
        hits.append(moved.max() >= 0.3 / leverage)
    assert checked.realised.n_starts == len(hits)
    assert checked.realised.estimate == pytest.approx(np.mean(hits), abs=0.005)
    assert checked.realised.estimate == pytest.approx(0.2, abs=0.06)


def test_the_safest_leverage_is_chosen_before_and_judged_after():
    market = gearing.synthetic_market("market-b", seed=5, years=2)
    middle = market.open_time[market.n_bars // 2]
    checked = check_safest_leverage(market, middle, horizon="3d", max_probability=0.1)
    assert checked.promised == 0.1
    assert checked.realised.n_starts == pytest.approx(365, abs=6)
    cautious = check_safest_leverage(market, middle, horizon="3d", max_probability=0.1, cautious=True)
    assert cautious.leverage <= checked.leverage
    assert cautious.realised.estimate <= checked.realised.estimate


def test_a_rule_without_a_budget_is_refused(walk):
    with pytest.raises(ValueError, match="no budget"):
        check_budget(FixedLeverage(), walk)


@pytest.mark.slow
@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT", "ADAUSDT"])
def test_on_real_history_the_excursion_budget_keeps_its_word(real_history, symbol):
    market = gearing.load_market(real_history, [symbol], missing_tiers="earliest")
    table = join_excursions(gearing.FeatureSet(["log_return"]).compute(market), market)
    for promised in (0.01, 0.05):
        rule = ExcursionBudget(promised, max_leverage=50.0)
        checked = check_budget(rule, market, table, initial_equity=1_000.0)
        assert not checked.exceeded
        assert checked.realised.estimate == pytest.approx(promised, rel=0.6)
