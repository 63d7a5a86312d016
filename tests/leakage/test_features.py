"""Every registered feature passes the conformance suite, and the suite finds what it is for."""

from functools import cache

import numpy as np
import pytest
from tests.features.markets import random_market

from gearing import check_feature
from gearing.features import Feature, FeatureError, feature, forget_feature, registered_features

HOUR = np.timedelta64(3_600_000, "ms")
FEATURES = pytest.mark.parametrize("feature", registered_features(), ids=lambda f: f.name)
NAMES = [
    "returns (n_bars, n_contracts)", "does not write into the market", "is deterministic", "does not use the future",
    "does not depend on where the data end", "needs no more than its lookback", "is finite after its lookback",
    "stays within its bounds",
]  # fmt: skip


@cache
def market(n_bars, hours=1):
    """A random market with all optional data."""
    return random_market(n_bars=n_bars, bar=hours * HOUR)


def behind(feature, hours=1):
    """A market a fortnight longer than the feature's lookback, rounded up so that features share markets."""
    needed = feature.lookback_bars(hours * HOUR) + 14 * 24 // hours
    return market(-(-needed // 500) * 500, hours)


@FEATURES
def test_a_registered_feature_passes(feature):
    found = check_feature(feature, behind(feature))
    assert list(found.index) == NAMES
    assert found.passed.all()


@FEATURES
def test_it_passes_on_bars_of_eight_hours(feature):
    assert check_feature(feature, behind(feature, 8)).passed.all()


def made(compute, lookback=("1bar",), lower=-1.0, upper=1.0):
    return Feature("sentinel", compute, lookback, "log", lower, upper, "test")


def next_return(market):
    returns = np.diff(np.log(market.close), axis=0, append=np.nan)
    return np.nan_to_num(returns)


def settles_at_the_close(market):
    """The rate that settles at the close, which is not known before it."""
    values = np.zeros((market.n_bars, market.n_contracts))
    for s in market.settlements:
        row = int(np.searchsorted(market.close_time, s["time"]))
        if row < market.n_bars:
            values[row, s["contract"]] = s["rate"]
    return values


def demeaned(market):
    return np.log(market.close) - np.log(market.close).mean(axis=0)


def count(market):
    return np.cumsum(np.ones((market.n_bars, market.n_contracts)), axis=0)


def noisy(market):
    return np.random.default_rng().normal(size=(market.n_bars, market.n_contracts))


def greedy(market):
    market.volume[0] = 0.0
    return market.volume


def unguarded(market):
    values = np.zeros((market.n_bars, market.n_contracts))
    values[300, 1] = np.inf
    return values


def large(market):
    return np.full((market.n_bars, market.n_contracts), 7.0)


def of_one_contract(market):
    return market.close[:, 0]


FAULTY = {
    "the next return": (made(next_return), "does not use the future", "future bars: its value of C0 at the close of"),
    "the rate that settles at the close": (made(settles_at_the_close), "does not use the future", "before its close"),
    "a mean over all bars": (made(demeaned), "does not depend on where the data end", "no totals or means"),
    "a running count": (made(count, ("24h",), 0.0, 1e9), "needs no more than its lookback", "25 bars but"),
    "a draw": (made(noisy, upper=9.0, lower=-9.0), "is deterministic", "draw nothing"),
    "a write": (made(greedy), "does not write into the market", "read-only"),
    "an infinity": (made(unguarded), "is finite after its lookback", "C1 at the close of 2023-01-14 13:00"),
    "too narrow bounds": (made(large), "stays within its bounds", "100 % of its values"),
    "one contract": (made(of_one_contract), "returns (n_bars, n_contracts)", "shape"),
}  # fmt: skip


def filled_backwards(market):
    change = np.diff(market.close, axis=0, prepend=np.nan) / market.close
    change[:-1:7] = change[1::7]  # every seventh bar from the next one
    return change


def of_the_day_ahead(market):
    hour = market.close_time.astype("datetime64[h]").astype(int) % 24
    ahead = np.vstack([market.close[1:], market.close[-1:]])
    return np.where((hour == 17)[:, None], ahead, market.close) / market.close


def overwriting(market):
    market.last.setflags(write=True)
    market.last[5] = 1.0  # the same in every call
    return np.zeros((market.n_bars, market.n_contracts))


@pytest.mark.parametrize("compute", [filled_backwards, of_the_day_ahead])
def test_a_future_read_by_few_bars_only_is_found(compute):
    found = check_feature(made(compute, ("1bar",)), market(700), raises=False)
    assert "it uses future bars" in found.broken["does not use the future"]


def test_a_write_that_is_the_same_in_every_call_is_found():
    found = check_feature(made(overwriting), market(500), raises=False)
    assert "change a copy" in found.broken["does not write into the market"]


def test_of_a_feature_that_draws_nothing_else_is_said():
    found = check_feature(FAULTY["a draw"][0], market(500), raises=False)
    assert list(found.index[~found.passed]) == ["is deterministic"]


@pytest.mark.parametrize("lookback", [5, None, (1,)])
def test_a_lookback_is_a_duration(lookback):
    with pytest.raises(TypeError, match="lookback"):
        feature(unit="-", lower=0, upper=1, source="test", lookback=lookback, name="of_no_time")(greedy)


@pytest.mark.parametrize(("faulty", "requirement", "says"), FAULTY.values(), ids=FAULTY.keys())
def test_a_fault_is_found_and_named(faulty, requirement, says):
    found = check_feature(faulty, market(500), raises=False)
    assert not found.passed[requirement]
    assert says in found.broken[requirement]
    with pytest.raises(FeatureError, match="sentinel"):
        check_feature(faulty, market(500))


def test_a_decorated_function_and_a_name_are_checked_on_a_market_of_their_own():
    @feature(unit="share", lower=0.0, upper=50.0, lookback="0h", source="test", needs=["implied_volatility"])
    def own_column(market):
        return market.implied_volatility

    try:
        assert check_feature(own_column).passed.all()
        assert check_feature("own_column").passed.all()
    finally:
        forget_feature("own_column")


def test_a_function_that_is_no_feature_is_refused_with_what_to_do():
    with pytest.raises(TypeError, match=r"decorated with gearing\.feature"):
        check_feature(lambda market: market.close)


def test_a_market_shorter_than_the_lookback_is_refused():
    with pytest.raises(ValueError, match="Give a longer one"):
        check_feature("momentum_30d", market(500))
