"""Rules for books: every formula on numbers worked out by hand, and contracts that come and go."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import nnls
from tests.features.markets import random_market

import gearing
from gearing.policies import describe_rule, make_rule
from gearing.policies.rules import Average, BookCarry, BookKelly, BookTrend, BookVolatilityTarget
from gearing.policies.rules.book_kelly import long_only_optimum, long_short_optimum

SIGMA = (0.5, 1.0, 2.0, 0.8)
THREE = (1.0, 1.0, 1.0, 0.0)  # the fourth contract is not listed


def exposures(rule, available=THREE, **columns):
    """Notional over equity of each contract; four contracts share the margin, so leverage is four times as much."""
    columns = {"realized_volatility_30d": SIGMA, "available": available, **columns}
    found = rule.predict({name: np.array([values], np.float32) for name, values in columns.items()})[0]
    return found[0] / 4.0


def test_inverse_volatility_divides_the_target_among_the_available_contracts():
    # 0.3 / (volatility x 3)
    found = exposures(make_rule("book_inverse_volatility"))
    np.testing.assert_allclose(found, [0.2, 0.1, 0.05, 0.0], rtol=1e-6)


def test_an_equal_book_has_the_target_over_the_mean_volatility():
    # 0.3 / (3.5 / 3 x 3) = 0.3 / 3.5 each
    found = exposures(make_rule("book_equal"))
    np.testing.assert_allclose(found, [0.3 / 3.5] * 3 + [0.0], rtol=1e-6)


def test_the_universe_holds_the_largest_available_contracts():
    rule = make_rule({"rule": "book_inverse_volatility", "largest": 2})
    found = exposures(rule, log_quote_volume_30d=(10.0, 12.0, 11.0, 99.0))
    np.testing.assert_allclose(found, [0.0, 0.15, 0.075, 0.0], rtol=1e-6)  # 0.3 / (volatility x 2)


def test_no_contract_is_no_position():
    assert exposures(make_rule("book_inverse_volatility"), available=(0.0,) * 4).tolist() == [0.0] * 4


@pytest.mark.parametrize(
    ("signal", "column", "first", "second", "score"),
    [
        ("sign", "momentum", (0.1, -0.1, 0.2, 0.3), (0.4, -0.2, -0.1, 0.3), (1.0, -1.0, 0.0)),
        ("t_statistic", "scaled_momentum", (3.0, -1.0, 0.5, 9.0), (1.0, 0.0, 0.0, 9.0), (1.0, -0.5, 0.25)),
        ("channel", "breakout", (1.0, 0.0, 0.5, 1.0), (1.0, 0.5, 0.5, 1.0), (1.0, -0.5, 0.0)),
    ],
)
def test_a_trend_score_is_the_mean_of_its_windows_and_flat_or_short_below_zero(
    signal, column, first, second, score
):
    columns = {f"{column}_20d": first, f"{column}_60d": second}
    full = np.array([0.2, 0.1, 0.05, 0.0])
    for short in (0.0, 0.5, 1.0):
        rule = BookTrend(signal=signal, windows=("20d", "60d"), short=short)
        sized = [s if s > 0.0 else short * s for s in (*score, 0.0)]
        np.testing.assert_allclose(exposures(rule, **columns), full * sized, rtol=1e-6, atol=1e-9)


def test_carry_is_long_what_is_cheaper_than_the_mean():
    # mean 0.2; (0.2 - funding) / 0.2 = 0.5, -0.5, 0; times 0.3 / (volatility x 3)
    columns = {"funding_carry_30d": (0.1, 0.3, 0.2, 9.0), "funding_known": (1.0, 1.0, 1.0, 0.0)}
    found = exposures(BookCarry(full=0.2), **columns)
    np.testing.assert_allclose(found, [0.1, -0.05, 0.0, 0.0], rtol=1e-5, atol=1e-8)


def test_unknown_funding_is_no_carry_and_no_part_of_the_mean():
    columns = {"funding_carry_30d": (0.1, 0.3, 0.0, 9.0), "funding_known": (1.0, 1.0, 0.0, 0.0)}
    found = exposures(BookCarry(full=0.2), **columns)
    np.testing.assert_allclose(found, [0.1, -0.05, 0.0, 0.0], rtol=1e-5, atol=1e-8)


def test_a_tilt_to_carry_makes_cheap_longs_and_dear_shorts_larger():
    # c = 0.5, -0.5, 0. Trend 0.5, -0.5, 0.5: 0.5 x 1.5; 0.5 short x (1 + 0.5 x 1), as it is dear; unchanged
    columns = {
        "scaled_momentum_20d": (0.5, -0.5, 0.5, 0.0), "funding_carry_30d": (0.1, 0.3, 0.2, 0.0),
        "funding_known": THREE,
    }  # fmt: skip
    rule = BookTrend(windows=("20d",), short=1.0, carry=1.0)
    np.testing.assert_allclose(exposures(rule, **columns), [0.15, -0.075, 0.025, 0.0], rtol=1e-5, atol=1e-9)


def test_an_average_is_the_weighted_mean_and_comes_back_from_its_description():
    rule = Average(rules=("fixed_2x", {"rule": "fixed", "leverage": 4.0}), weights=(0.25, 0.75))
    assert rule.predict({"effective_leverage": np.zeros((1, 1), np.float32)})[0].tolist() == [[3.5]]
    assert make_rule(describe_rule(rule)) == rule
    nested = BookVolatilityTarget(base=Average(rules=(BookTrend(short=1.0), BookCarry())))
    assert make_rule(describe_rule(nested)) == nested
    assert nested.settings == {"direction": "free", "margin_mode": "cross"}


def test_a_book_volatility_target_gives_equity_that_volatility():
    rho, rule = 0.6, BookVolatilityTarget(target=0.25)
    x = exposures(rule, mean_correlation_30d=(rho, rho, rho, 0.0))[:3]
    sigma = np.array(SIGMA[:3])
    covariance = np.outer(sigma, sigma) * (rho + (1 - rho) * np.eye(3))
    assert x @ covariance @ x == pytest.approx(0.25**2, rel=1e-5)
    contribution = x * (covariance @ x)
    np.testing.assert_allclose(contribution, contribution[0], rtol=1e-5)  # risk parity


def equicorrelation(n, rho):
    return rho + (1.0 - rho) * np.eye(n)


@pytest.mark.parametrize("seed", range(8))
def test_the_long_only_optimum_is_that_of_a_quadratic_programme(seed):
    rng = np.random.default_rng(seed)
    n, rho = int(rng.integers(2, 9)), rng.uniform(0.0, 0.9)
    sharpe = rng.normal(0.2, 1.0, n)
    # max s'z - z'Cz / 2 over z >= 0 is the nonnegative least-squares problem |R z - R^-T s| with C = R'R
    root = np.linalg.cholesky(equicorrelation(n, rho)).T
    expected, _ = nnls(root, np.linalg.solve(root.T, sharpe))
    found = long_only_optimum(sharpe[None], np.array([[rho]]), np.ones((1, n), bool))[0]
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_the_long_short_optimum_inverts_the_correlation():
    sharpe, rho = np.array([0.8, -0.3, 0.1, 9.0]), 0.7
    held = np.array([[True, True, True, False]])
    found = long_short_optimum(sharpe[None], np.array([[rho]]), held)[0]
    np.testing.assert_allclose(found[:3], np.linalg.solve(equicorrelation(3, rho), sharpe[:3]))
    assert found[3] == 0.0


def test_kelly_of_one_contract_is_a_fraction_of_drift_over_variance():
    # wealth 1/2 with probability 1/4: 2 / (1 + 2) of full Kelly. Drift: 0.12 in 120 of 365 days, + 0.5 / 2 - 0.1
    rule = BookKelly(wealth=0.5, probability=0.25, robust=0.0, prior_spread=1e6)
    only = (1.0, 0.0, 0.0, 0.0)
    columns = {
        "momentum_120d": (0.12, 0.0, 0.0, 0.0), "funding_carry_30d": (0.1, 0.0, 0.0, 0.0),
        "mean_correlation_30d": (0.6, 0.0, 0.0, 0.0),
    }  # fmt: skip
    drift = 0.12 * 365 / 120 + 0.5 * 0.25 - 0.1
    assert exposures(rule, available=only, **columns)[0] == pytest.approx(2 / 3 * drift / 0.25, rel=1e-5)


def test_a_robust_drift_below_its_doubt_is_not_traded():
    columns = dict.fromkeys(("momentum_120d", "funding_carry_30d", "mean_correlation_30d"), (0.0,) * 4)
    # drift volatility^2 / 2 = 0.125 to 2; its standard error is volatility / sqrt(120 / 365) = 0.87 and more
    assert exposures(BookKelly(robust=3.0), **columns).tolist() == [0.0] * 4
    assert exposures(BookKelly(robust=0.0), **columns)[0] > 0.0


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"rule": "book_trend", "signal": "chanel"}, "sign, t_statistic, channel"),
        ({"rule": "book_trend", "windows": "20d"}, r"\[20d, 60d\]"),
        ({"rule": "book_trend", "windows": ["soon"]}, "soon"),
        ({"rule": "book_trend", "short": 1.5}, r"\[0, 1\]"),
        ({"rule": "book_trend", "carry": 2.0}, r"\[0, 1\]"),
        ({"rule": "book_inverse_volatility", "largest": 0}, "1 or more"),
        ({"rule": "book_kelly", "short": 0.5}, "long/flat"),
        ({"rule": "average", "rules": []}, "at least one"),
        ({"rule": "average", "rules": 7}, "rules is 7"),
        ({"rule": "average", "rules": ["fixed_2x"], "weights": [0.5]}, "summing to 1"),
        ({"rule": "average", "rules": ["book_trand"]}, "book_trend"),
    ],
)
def test_impossible_parameters_are_refused(spec, message):
    with pytest.raises(ValueError, match=message):
        make_rule(spec)


def test_a_part_that_is_no_rule_is_refused():
    with pytest.raises(TypeError, match="a part is 7"):
        Average(rules=(7,))


LISTED, ENDED, DAYS = 20, 40, 60  # days on which the second contract begins and the third ends
TREND = {"rule": "book_trend", "windows": ["2d", "5d"], "column": "realized_volatility_7d", "target": 1.0}


def ragged(seed=3):
    """Three contracts over 60 days, of which one is listed on day 20 and one ends on day 40."""
    whole = random_market(24 * DAYS, 3, seed)
    tradable = whole.tradable.copy()
    tradable[: 24 * LISTED, 1], tradable[24 * ENDED :, 2] = False, False
    last, mark = whole.last.copy(), whole.mark.copy()
    last[~tradable], mark[~tradable] = np.nan, np.nan
    cash = whole.settlements
    bar = np.searchsorted(whole.open_time, cash["time"], side="right") - 1
    cash = cash[tradable[bar, cash["contract"]]]
    return replace(
        whole, last=last, mark=mark, tradable=tradable, settlements=cash, index=None,
        volume=np.where(tradable, whole.volume, 0.0),
    )  # fmt: skip


def days_from_the_start(result, market):
    return ((result.time[:-1] - market.open_time[0]) / np.timedelta64(1, "D")).astype(float)


def test_contracts_enter_when_their_history_allows_and_leave_at_their_last_bar():
    market = ragged()
    result = gearing.backtest(
        make_rule({"rule": "book_inverse_volatility", "column": "realized_volatility_7d"}),
        market,
        ["log_return"],
    )
    day, held = days_from_the_start(result, market), result.leverage != 0.0
    assert day[0] == 8.0  # the first midnight after seven days of returns
    assert held[:, 0].all()
    # seven days of returns from day 20 on are known at the close of bar 168 after it: midnight of day 28
    np.testing.assert_array_equal(held[:, 1], day >= LISTED + 8)
    # the last bar closes as day 40 begins: the position is closed there at its last mark
    np.testing.assert_array_equal(held[:, 2], day < ENDED - 1)
    closing = int(np.flatnonzero(day == ENDED - 1)[0])
    assert result.ledgers["fills"][closing, 2] >= 1
    assert result.equity[-1] == pytest.approx(
        result.equity[0]
        + sum(result.ledgers[part].sum() for part in ("price_pnl", "fees", "funding", "liquidation")),
        rel=1e-12,
    )


def test_a_book_shares_its_target_among_the_contracts_of_the_moment():
    market = ragged()
    rule = {"rule": "book_inverse_volatility", "column": "realized_volatility_7d", "target": 0.3}
    result = gearing.backtest(make_rule(rule), market)
    table = gearing.FeatureSet(["realized_volatility_7d"]).compute(market)
    day = days_from_the_start(result, market)
    for when, members in ((10.0, 2), (30.0, 3), (50.0, 2)):
        k = int(np.flatnonzero(day == when)[0])
        sigma = table.values[int(24 * when) - 1, 0, 0]
        assert result.target[k, 0] == pytest.approx(3 * 0.3 / (sigma * members), rel=1e-5)


@pytest.mark.parametrize("row", [24 * 15, 24 * 25 + 7, 24 * 45])
def test_a_book_does_not_change_when_the_future_of_its_contracts_does(row):
    market, rng = ragged(), np.random.default_rng(0)
    shift = np.exp(rng.normal(0.0, 0.1, (market.n_bars - row, 3, 1)))
    last, mark = market.last.copy(), market.mark.copy()
    last[row:], mark[row:] = last[row:] * shift, mark[row:] * shift
    other = replace(market, last=last, mark=mark)
    rule = make_rule({"rule": "average", "rules": [TREND, {**TREND, "signal": "channel", "short": 1.0}]})
    first, second = (gearing.backtest(rule, one) for one in (market, other))
    known = first.time[:-1] <= market.open_time[row]
    assert known.sum() > 5
    np.testing.assert_array_equal(first.target[known], second.target[known])
    assert not np.array_equal(first.target, second.target)


def test_the_listing_of_a_contract_is_not_known_before_it():
    market = ragged()
    cut = market.between(None, market.open_time[24 * LISTED])
    rule = make_rule(TREND)
    whole, short = gearing.backtest(rule, market), gearing.backtest(rule, cut)
    np.testing.assert_array_equal(whole.target[: len(short.target)], short.target)
