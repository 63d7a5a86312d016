"""The same path has the same metrics and trades, whatever the clock of its decisions."""

import numpy as np
import pandas as pd
import pytest

import gearing
from gearing.evaluation.closes import daily_stamps
from gearing.evaluation.reports.trades import trades
from gearing.features import FeatureSet
from gearing.policies.registry import make_rule

HOUR = np.timedelta64(1, "h")
SAME = (
    "effective_leverage", "leverage_p05", "leverage_p95", "log_growth", "volatility", "sharpe", "sortino", "calmar",
    "max_drawdown", "cvar_95", "turnover", "fees", "funding", "liquidations",
)  # fmt: skip


class Replay:
    """Target leverages by moment; NaN, which holds, at all others."""

    required_columns = ()
    action_scheme = "target"

    def __init__(self, moments, targets, first):
        self.targets, self.now = dict(zip(moments, targets, strict=True)), first

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        shape = observation["effective_leverage"].shape
        target = self.targets.get(self.now, np.full(shape[1], np.nan))
        self.now = self.now + HOUR
        return np.broadcast_to(target, shape), state


def market(contracts=("BTCUSDT",), seed=5):
    return gearing.synthetic_market("market-b", seed=seed, years=0.4, contracts=list(contracts))


def trend(of, days):
    """A side that changes every few days: 1, -1, and flat in between (n_bars,)."""
    hours = np.arange(of.n_bars)
    return np.array([1.0, 0.0, -1.0, 1.0])[(hours // (24 * days + 5)) % 4]


def hourly(coarse, of, table, moments, targets, **settings):
    """The same orders as of a coarse clock, on an hourly one."""
    replay = Replay(moments, targets, coarse.time[0])
    return gearing.backtest(
        replay, of, table, start=str(coarse.time[0]), decision_interval="1h", **settings
    )  # fmt: skip


def assert_same(coarse, fine):
    assert coarse.time[-1] == fine.time[-1]
    for name in SAME:
        assert coarse.row[name] == pytest.approx(fine.row[name], rel=1e-9), name


def test_a_trade_held_from_its_entry_has_the_metrics_of_its_daily_closes():
    of = market()
    side = trend(of, days=6)
    table = FeatureSet(["log_return"]).compute(of).join("side", side, lower=-1.0, upper=1.0)
    settings = {"max_leverage": 10.0, "margin_share": 0.4}
    coarse = gearing.backtest(
        make_rule("fixed_3x"), of, table, decision="at_entry", direction="signal:side", decision_interval="1h",
        **settings,
    )  # fmt: skip
    # an order wherever the side known at the decision changes; a flat side closes
    known = np.concatenate([[np.nan], side[:-1]])  # of the bar before each
    changes = np.flatnonzero(known[1:] != known[:-1])[1:] + 1
    first = np.searchsorted(of.open_time, coarse.time[0])
    changes = np.append(first, changes[changes > first])
    fine = hourly(
        coarse, of, table, of.open_time[changes], 3.0 * known[changes][:, None], direction="free", **settings
    )
    assert len(coarse.target) < 30 < len(fine.target)
    assert_same(coarse, fine)
    # three times 0.4 of equity while a side is held, about three quarters of the time
    assert 0.7 < coarse.row["effective_leverage"] < 1.3


@pytest.mark.parametrize(
    "settings",
    [
        {"direction": "long", "margin_share": 0.4},
        {"direction": "short", "margin_share": 0.4},
        {"direction": "long", "margin_share": 0.4, "margin_mode": "cross"},
        {"direction": "long", "margin_share": 0.2, "max_leverage": 20.0},
    ],
    ids=["long", "short", "cross", "liquidated"],
)
@pytest.mark.parametrize("contracts", [("BTCUSDT",), ("BTCUSDT", "ETHUSDT")], ids=["one", "two"])
def test_a_weekly_clock_has_the_metrics_of_an_hourly_one_on_the_same_path(settings, contracts):
    of, size = market(contracts, seed=8), settings.get("max_leverage", 5.0)
    table = FeatureSet(["log_return"]).compute(of)
    coarse = gearing.backtest(
        make_rule({"rule": "fixed", "leverage": size}), of, table, decision_interval="7d", **settings
    )
    sign = -1.0 if settings["direction"] == "short" else 1.0
    targets = sign * coarse.target
    fine = hourly(
        coarse, of.between(None, coarse.time[-1]), table.between(None, coarse.time[-1]), coarse.time[:-1], targets,
        **settings,
    )  # fmt: skip
    assert_same(coarse, fine)


def test_an_eight_hour_and_an_hourly_clock_agree_too():
    of = market(seed=9)
    table = FeatureSet(["log_return"]).compute(of)
    settings = {"direction": "long", "margin_share": 0.5}
    coarse = gearing.backtest(make_rule("fixed_3x"), of, table, decision_interval="8h", **settings)
    fine = hourly(coarse, of, table, coarse.time[:-1], coarse.target, **settings)
    assert_same(coarse, fine)


def test_days_are_counted_from_the_first_decision():
    days = daily_stamps(np.datetime64("2024-01-01T08:00", "ms"), np.datetime64("2024-01-03T07:00", "ms"))
    assert days.astype(str).tolist() == ["2024-01-02T08:00:00.000"]


def test_a_ruined_account_keeps_its_last_equity_on_later_days():
    of = market(seed=8)
    result = gearing.backtest(make_rule("fixed_20x"), of, margin_share=1.0, decision_interval="7d")
    assert result.ruined
    after = result.days > result.time[result.end]
    assert after.any()
    np.testing.assert_array_equal(result.daily_equity[after], result.equity[-1])
    np.testing.assert_array_equal(result.daily_leverage[after], 0.0)


def test_trades_are_dated_by_their_fills():
    # long from 10:00 on the third day, flat at 15:00 two days later; the decision of that hour closes it
    of = market()
    side = np.zeros(of.n_bars)
    opened, closed = 2 * 24 + 10, 4 * 24 + 15
    side[opened - 1 : closed - 1] = 1.0
    side[closed + 99 : closed + 149] = 1.0
    table = FeatureSet(["log_return"]).compute(of).join("side", side, lower=-1.0, upper=1.0)
    for mode in ("at_entry", "interval"):
        result = gearing.backtest(
            make_rule("fixed_3x"), of, table, decision=mode, direction="signal:side", decision_interval="1h",
            margin_share=0.3,
        )  # fmt: skip
        first = trades(result).iloc[0]
        assert first["opened"] == pd.Timestamp(of.open_time[opened]), mode
        assert first["closed"] == pd.Timestamp(of.open_time[closed]), mode
        assert first["exit"] == "decision"


@pytest.mark.parametrize("clock", [{"decision_interval": "24h"}, {"decision_interval": "7d"}])
def test_a_liquidation_is_dated_by_the_bar_in_which_it_happened(clock):
    # bought at 25x of the margin at the first decision; the mark falls by 10 % inside one bar 30 hours later
    of = gearing.synthetic_market("market-b", seed=3, years=0.2)
    start = int(np.flatnonzero((of.open_time >= np.datetime64("2024-01-01")) | True)[0])
    assert start == 0
    first = gearing.backtest(make_rule("fixed_1x"), of, **clock).time[0]
    k = int(np.searchsorted(of.open_time, first)) + 30
    price = float(of.last[k - 31, 0, 3])
    flat = {name: np.array(getattr(of, name)) for name in ("last", "mark")}
    for prices in flat.values():
        prices[:] = price
        prices[k, 0, 2] = prices[k, 0, 3] = 0.9 * price  # low and close
        prices[k + 1 :] = 0.9 * price
    fallen = of.replace(**flat)
    result = gearing.backtest(
        make_rule({"rule": "fixed", "leverage": 25.0}), fallen, max_leverage=25.0, margin_share=0.1, **clock
    )
    trade = trades(result).iloc[0]
    assert trade["exit"] == "liquidation"
    assert trade["closed"] == pd.Timestamp(of.open_time[k])
