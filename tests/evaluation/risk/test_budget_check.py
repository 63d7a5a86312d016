"""A promise is judged by what came later."""

import numpy as np
import pytest
from tests.simulation.markets import contract, market as tiny_market

import gearing
from gearing.evaluation import join_distances
from gearing.evaluation.risk.budget_check import check_budget
from gearing.policies.controls import RiskLimit
from gearing.policies.rules import ExcursionBudget, FixedLeverage


@pytest.fixture(scope="module")
def walk():
    """A Gaussian walk of constant volatility."""
    closes = 100.0 * np.exp(np.cumsum(np.random.default_rng(4).normal(0.0, 0.004, 24 * 700)))
    return tiny_market(closes, contracts=[contract(rate=0.005)])


@pytest.fixture(scope="module")
def book():
    """Three contracts that share most of their moves."""
    rng = np.random.default_rng(5)
    common, own = rng.normal(0.0, 0.004, (24 * 700, 1)), rng.normal(0.0, 0.002, (24 * 700, 3))
    return tiny_market(100.0 * np.exp(np.cumsum(common + own, axis=0)))


@pytest.mark.parametrize("side", [1, -1])
def test_on_a_gaussian_walk_the_excursion_budget_keeps_its_word(walk, side):
    checked = check_budget(ExcursionBudget(0.2, side=side, max_leverage=100.0), walk, slippage=0.0)
    assert not checked.exceeded
    assert checked.realised.frequency == pytest.approx(0.2, abs=0.06)
    assert "within budget" in str(checked)


def test_twice_the_leverage_of_the_budget_breaks_it(walk):
    rule = ExcursionBudget(0.2, max_leverage=100.0)
    table = join_distances(gearing.FeatureSet(["log_return"]).compute(walk), walk, rule.required_columns)
    column = table.column(rule.required_columns[0])
    halved = table.select(("log_return",)).join(
        rule.required_columns[0], 0.5 * column.astype(float), unit="log", lower=0.0, upper=50.0
    )
    assert check_budget(rule, walk, halved, slippage=0.0).exceeded


@pytest.mark.parametrize("side", [1, -1])
def test_a_budget_of_drawdowns_counts_the_touches_of_the_mark_path(walk, side):
    rule = ExcursionBudget(0.2, event="drawdown", drawdown=0.3, side=side, max_leverage=100.0)
    table = join_distances(gearing.FeatureSet(["log_return"]).compute(walk), walk, rule.required_columns)
    checked = check_budget(rule, walk, table, slippage=0.0)
    # By hand: every day from the first complete one, the worst mark of 24 bars against the entry at the first open.
    midnight = walk.open_time.astype("datetime64[D]") == walk.open_time
    first = np.flatnonzero(midnight & (walk.open_time >= table.close_time[table.first_complete]))
    worst = walk.mark[:, 0, 2] if side > 0 else walk.mark[:, 0, 1]
    distance = table.column(rule.required_columns[0]).astype(float)
    hits = []
    for k in first[first + 24 <= walk.n_bars]:
        leverage = rule.choose({rule.required_columns[0]: distance[k - 1 : k]})[0, 0]
        moved = side * (1.0 - worst[k : k + 24] / walk.open[k, 0])
        hits.append(moved.max() >= 0.3 / leverage)
    assert checked.realised.n == len(hits)
    assert checked.realised.frequency == pytest.approx(np.mean(hits), abs=0.005)


def test_a_control_keeps_the_budget_of_a_policy_that_knows_none(walk):
    control = RiskLimit(0.2, "1d", maintenance=0.005)
    wild = check_budget(FixedLeverage(60.0), walk, controls=(control,), slippage=0.0, max_leverage=100.0)
    assert wild.leverage < 59.0
    assert wild.realised.frequency == pytest.approx(0.2, abs=0.06)


def test_a_book_on_cross_margin_is_liquidated_as_often_as_its_limit_allows(book):
    control = RiskLimit(0.2, "1d", margin_mode="cross", maintenance=0.005, correlation_long=0.8)
    checked = check_budget(
        FixedLeverage(100.0), book, controls=(control,), margin_share=1 / 3, slippage=0.0, max_leverage=125.0
    )
    assert checked.realised.frequency == pytest.approx(0.2, abs=0.06)
    assert not checked.exceeded


def test_a_rule_without_a_budget_is_refused(walk):
    with pytest.raises(ValueError, match="no budget"):
        check_budget(FixedLeverage(), walk)


@pytest.mark.slow
@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT", "ADAUSDT"])
def test_on_real_history_the_excursion_budget_keeps_its_word(real_history, symbol):
    others = [name for name in ("BTCUSDT", "ETHUSDT", "ADAUSDT") if name != symbol]
    market, *pool = (
        gearing.load_market(real_history, [name], missing_tiers="earliest") for name in (symbol, *others)
    )
    for promised in (0.01, 0.05):
        rule = ExcursionBudget(promised, max_leverage=50.0)
        table = gearing.FeatureSet(["log_return"]).compute(market)
        table = join_distances(table, market, rule.required_columns, pool=pool)
        checked = check_budget(rule, market, table, initial_equity=1_000.0)
        assert not checked.exceeded
        assert checked.realised.frequency == pytest.approx(promised, rel=0.6)
