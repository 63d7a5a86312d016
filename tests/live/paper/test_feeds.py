import numpy as np
import pandas as pd
import pytest
from tests.export import cases as export_cases
from tests.live.paper import cases

from gearing.evaluation.backtesting import backtest
from gearing.export.runtime import load_bundle
from gearing.live.paper.clock import Running
from gearing.live.paper.feeds import ccxt_symbol, live_feed
from gearing.live.paper.report import ledger
from gearing.market.synthetic.generators import synthetic_market
from gearing.policies.rules import FixedLeverage

HOUR = np.timedelta64(1, "h")


class Exchange:
    """Speaks as ccxt does, of a market that goes on: bars appear at their close, the last one while it is open."""

    id = "binanceusdm"

    def __init__(self, market, clock):
        self.market, self.clock = market, clock

    def fetch_ohlcv(self, symbol, timeframe, since, limit, params):
        prices = self.market.mark if params.get("price") == "mark" else self.market.last
        stamps = self.market.open_time.astype(np.int64)
        known = self.market.open_time <= self.clock.now()
        rows = np.flatnonzero((stamps >= since) & known)[:limit]
        return [[int(stamps[k]), *prices[k, 0].tolist(), float(self.market.volume[k, 0])] for k in rows]

    def fetch_funding_rate_history(self, symbol, since, limit, params):
        rows = self.market.settlements
        stamps, now = rows["time"].astype(np.int64), int(self.clock.now().astype(np.int64))
        chosen = rows[(stamps >= since) & (stamps <= min(params["until"], now))][-limit:]
        return [
            {"timestamp": int(r["time"].astype(np.int64)), "fundingRate": float(r["rate"])} for r in chosen
        ]


@pytest.fixture
def market():
    return synthetic_market("market-b", seed=9, years=0.2, contracts=("BTCUSDT",))


@pytest.fixture
def bundle(market, tmp_path):
    export_cases.small_bundle(tmp_path / "bundle", FixedLeverage(3.0), part=market)
    return load_bundle(tmp_path / "bundle")


def test_live_bars_are_decided_on_as_they_come(market, bundle, tmp_path):
    start = market.open_time[24 * 60]
    seconds = [0.0]
    clock = Running(
        start - 5 * HOUR,
        read=lambda: seconds[0],
        sleep=lambda length: seconds.__setitem__(0, seconds[0] + length),
    )
    feed = live_feed(bundle, tmp_path / "market", clock.now, Exchange(market, clock))
    run = cases.run_to_end(bundle, tmp_path / "paper", feed, clock, start=clock.now(), end=start + 96 * HOUR)
    decided = [np.datetime64(line["time"], "ms") for line in run.decisions]
    assert decided == [start + k * 24 * HOUR for k in range(4)]
    assert not any(line["paper"]["refused"] for line in run.decisions)
    late = [
        np.datetime64(line["now"], "ms") - moment for line, moment in zip(run.decisions, decided, strict=True)
    ]
    assert max(late) <= np.timedelta64(60, "s")
    part = market.between(start - 2 * HOUR, start + 72 * HOUR)
    expected = backtest(FixedLeverage(3.0), part, max_leverage=10.0, margin_share=0.25).ledger
    found = ledger(run)
    for name in ("quantity", "fees", "funding", "price_pnl", "equity"):
        if name in expected:
            pd.testing.assert_series_equal(found[name], expected[name][: len(found)], check_exact=True)


@pytest.mark.parametrize(
    ("symbol", "written"), [("BTCUSDT", "BTC/USDT:USDT"), ("1000PEPEUSDC", "1000PEPE/USDC:USDC")]
)
def test_contracts_are_named_as_ccxt_names_them(symbol, written):
    assert ccxt_symbol(symbol) == written


@pytest.mark.parametrize("symbol", ["BTCUSD_PERP", "USDT", "BTC-SYN"])
def test_other_contracts_have_no_live_bars(symbol):
    with pytest.raises(ValueError, match="settles neither in USDT nor in USDC"):
        ccxt_symbol(symbol)
