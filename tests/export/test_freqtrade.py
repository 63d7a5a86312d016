"""A gearing rule chooses leverage inside freqtrade: the same number as at home, known when the candle closes."""

import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from tests.benchmarks.peers import environment

import gearing
from gearing.contracts import TierSchedule
from gearing.exchange.rules import liquidation_price
from gearing.export import BundlePolicy, export_bundle, load_bundle
from gearing.export.freqtrade import candles_needed, leverage_by_candle
from gearing.policies.rules import (
    DrawdownControlled,
    Scaled,
    VolatilityTarget,
    VolatilityWeighted,
)

ROOT = Path(__file__).resolve().parents[2]
RULE = VolatilityWeighted(low=3, high=8, column="volatility_percentile_30d")  # the example strategy's
PRICES = ("open", "high", "low", "close")


@pytest.fixture(scope="module")
def market():
    return gearing.synthetic_market("market-b", seed=5, years=0.4)


def candles(market, prices, volume):
    columns = {name: prices[:, 0, k] for k, name in enumerate(PRICES)}
    return pd.DataFrame({"date": pd.to_datetime(market.open_time, utc=True), **columns, "volume": volume})


def tables(market):
    rates = market.settlements
    funding = pd.DataFrame({"date": pd.to_datetime(rates["time"], utc=True), "open": rates["rate"]})
    funding[["high", "low", "close", "volume"]] = 0.0
    return candles(market, market.last, market.volume[:, 0]), candles(market, market.mark, 0.0), funding


def at_home(rule, market):
    """Leverage at the close of every bar, by a feature table of the market itself."""
    columns = [name for name in rule.required_columns if name != "effective_leverage"]
    table = gearing.FeatureSet(columns).compute(market)
    view = {name: table.column(name) for name in columns} | {
        "effective_leverage": np.zeros((market.n_bars, 1))
    }
    answer = rule.predict(view)[0][:, 0]
    return np.where(np.isfinite(table.values).all(axis=(1, 2)), answer, np.nan)


@pytest.mark.parametrize("rule", [RULE, Scaled()], ids=["volatility", "trend, volume and funding"])
def test_the_rule_decides_as_in_a_backtest(rule, market):
    last, mark, funding = tables(market)
    found = leverage_by_candle(rule, last, mark=mark, funding=funding)
    expected = at_home(rule, market)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert 0 < np.isfinite(found).sum() < len(found)


def test_a_later_candle_changes_no_earlier_leverage(market):
    last, mark, funding = tables(market)
    whole = leverage_by_candle(RULE, last, mark=mark, funding=funding)
    cut = leverage_by_candle(RULE, last[:-100], mark=mark[:-100], funding=funding)
    np.testing.assert_array_equal(cut, whole[:-100])


def test_the_candles_needed_are_enough_and_no_fewer(market):
    last, _, _ = tables(market)
    needed = candles_needed(RULE)
    assert np.isfinite(leverage_by_candle(RULE, last[-needed:].reset_index(drop=True)).iloc[-1])
    with pytest.raises(ValueError, match="bars"):
        leverage_by_candle(RULE, last[-needed + 1 :].reset_index(drop=True))


def test_what_candles_cannot_show_is_refused(market):
    last, _, _ = tables(market)
    with pytest.raises(ValueError, match="drawdown of its account"):
        leverage_by_candle(DrawdownControlled(), last)
    with pytest.raises(ValueError, match="pass funding="):
        leverage_by_candle(Scaled(), last)
    with pytest.raises(ValueError, match="features only"):
        leverage_by_candle(VolatilityTarget(column="forecast_volatility"), last)


def backtested(market, strategies, folder, strategy="GearingLeverage", **variables):
    """Trades of the strategy in freqtrade's own backtester, in its own environment."""
    python = environment("freqtrade")
    if isinstance(python, str):
        pytest.skip(f"freqtrade is {python}")
    home = folder / "data" / "binance" / "futures"
    home.mkdir(parents=True)
    for kind, table in zip(("futures", "mark", "funding_rate"), tables(market), strict=True):
        table.to_feather(home / f"BTC_USDT_USDT-1h-{kind}.feather")
    script = ROOT / "tests" / "export" / "freqtrade_offline.py"
    done = subprocess.run(
        [str(python), str(script), str(folder), str(strategies), strategy],
        capture_output=True, text=True, check=False, timeout=900, cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "NUMBA_CACHE_DIR": str(folder / "numba"),
             **variables},
    )  # fmt: skip
    told = [line for line in done.stdout.splitlines() if line.startswith("TRADES ")]
    assert told, done.stderr[-2000:]
    return json.loads(told[0].removeprefix("TRADES "))


def our_liquidation_price(trade):
    tiers = TierSchedule.flat(0.004, 150.0)  # freqtrade's first tier of BTC/USDT:USDT, to 300,000
    return liquidation_price(
        trade["amount"], trade["open_rate"], trade["stake_amount"], tiers.to_records(), False
    )


@pytest.mark.slow
def test_freqtrades_backtester_trades_at_the_rules_leverage(market, tmp_path):
    trades = backtested(market, ROOT / "examples" / "freqtrade", tmp_path)
    leverage = pd.Series(at_home(RULE, market), pd.DatetimeIndex(market.close_time).tz_localize("UTC"))
    assert len(trades) > 20
    assert len({round(trade["leverage"], 2) for trade in trades}) > 3
    for trade in trades:
        # Decided at the close at which the next candle opens.
        assert trade["leverage"] == pytest.approx(leverage[pd.Timestamp(trade["open_date"])], rel=1e-6)
        assert trade["liquidation_price"] == pytest.approx(our_liquidation_price(trade), rel=1e-6)


@pytest.mark.slow
def test_freqtrades_backtester_liquidates_in_the_candle_that_reaches_our_price(market, tmp_path):
    example = (ROOT / "examples" / "freqtrade" / "GearingLeverage.py").read_text(encoding="utf-8")
    daring = example.replace("low=3, high=8", "low=60, high=120")
    assert daring != example
    (tmp_path / "GearingLeverage.py").write_text(daring, encoding="utf-8")
    trades = backtested(market, tmp_path, tmp_path)
    assert sum(trade["exit_reason"] == "liquidation" for trade in trades) > 3
    # A candle that passes the stop at 99 % of the stake as well is called a stop there.
    hit = [trade for trade in trades if trade["exit_reason"] in ("liquidation", "stop_loss")]
    low = pd.Series(market.last[:, 0, 2], pd.DatetimeIndex(market.open_time).tz_localize("UTC"))
    for trade in trades:
        price = our_liquidation_price(trade)
        assert trade["liquidation_price"] == pytest.approx(price, rel=1e-6)
        opened, closed = pd.Timestamp(trade["open_date"]), pd.Timestamp(trade["close_date"])
        reached = low.index[(low.index >= opened) & (low.index <= closed) & (low <= price)]
        if trade in hit:
            assert reached[0] == closed
        else:
            assert not len(
                reached[reached < closed]
            )  # at the candle of a signal, freqtrade leaves at its opening


@pytest.mark.slow
def test_a_bundle_changes_the_size_of_a_trade_whose_leverage_is_fixed(tmp_path):
    month = gearing.synthetic_market("market-b", seed=5, years=0.06)
    rule = VolatilityTarget(1.0, column="realized_volatility_24h")
    config = gearing.SimulationConfig(max_leverage=10.0, margin_share=0.5)
    table = gearing.FeatureSet(["realized_volatility_24h"]).compute(month)
    bundle = export_bundle(rule, tmp_path / "bundle", market=month, table=table, config=config)
    trades = backtested(
        month, ROOT / "examples" / "freqtrade", tmp_path, "GearingBundle", GEARING_BUNDLE=str(bundle),
        NUMBA_DISABLE_JIT="1",
    )  # fmt: skip
    assert {trade["leverage"] for trade in trades} == {5.0}
    orders = [order for trade in trades for order in trade["orders"]]
    assert len(orders) > 2 * len(trades)
    assert {side for side, _ in orders} == {"buy", "sell"}


def test_a_bundle_says_the_same_as_its_rule_and_one_with_a_memory_is_refused(market, tmp_path):
    last, mark, funding = tables(market)
    table = gearing.FeatureSet(list(RULE.required_columns)).compute(market)
    config = gearing.SimulationConfig(max_leverage=10.0, direction="short")
    bundle = export_bundle(RULE, tmp_path / "bundle", market=market, table=table, config=config)
    policy = BundlePolicy(load_bundle(bundle))
    found = leverage_by_candle(policy, last, mark=mark, funding=funding)
    np.testing.assert_allclose(found, -leverage_by_candle(RULE, last, mark=mark, funding=funding))
    policy = SimpleNamespace(recurrent=True, required_columns=policy.required_columns)
    with pytest.raises(ValueError, match="has a memory"):
        leverage_by_candle(policy, last)
