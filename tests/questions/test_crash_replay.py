"""Crash replays show who is liquidated when."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import gearing
from gearing.questions.crash_replay import replay
from gearing.studies import load_config
from gearing.studies.runner import run_study

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENT = ROOT / "experiments" / "crash_replay.yaml"
SHIPPED = ROOT / "docs" / "tables" / "crash_replays.csv"


def falling_market() -> gearing.MarketData:
    """100 for two days, then down by 1 an hour, the last price 2 lower than the mark."""
    times = pd.date_range("2024-01-01", periods=72, freq="h", tz="UTC")
    close = np.concatenate([np.full(48, 100.0), 100.0 - np.arange(1.0, 25.0)])
    open_ = np.concatenate([[100.0], close[:-1]])
    mark = pd.DataFrame(
        {"open_time": times, "open": open_, "high": np.maximum(open_, close), "low": np.minimum(open_, close)}
    )
    mark["close"], mark["volume"] = close, 1.0
    last = mark.copy()
    last["low"] -= 2.0
    funding = pd.DataFrame({"time": times[::8], "rate": 0.0})
    return gearing.MarketData.from_frames(last, mark=mark, funding=funding, contract="BTCUSDT")


def test_liquidation_comes_at_the_hour_in_which_the_series_reaches_the_price():
    table = replay(falling_market(), "2024-01-03", (1.0, 10.0, 500.0), "mark")
    assert list(table.index) == [1.0, 10.0]  # what the contract does not allow is left out
    assert pd.isna(table.liquidated[1.0])
    # 10x from about 100: gone about 9.6 % lower, in the tenth hour of the fall.
    assert table.liquidated[10.0] == pd.Timestamp("2024-01-03 09:00")
    assert table.price[10.0] == pytest.approx(90.4, abs=0.15)
    by_last = replay(falling_market(), "2024-01-03", (1.0, 10.0), "last")
    assert by_last.liquidated[10.0] == pd.Timestamp("2024-01-03 07:00")  # 2 lower, so two hours earlier


def test_crashes_are_replayed_on_history_only(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("kind: crash_replay\nmarket: {years: 1}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"market\.folder"):
        load_config(path)


def test_the_real_crashes_liquidate_higher_leverage_no_later(real_history, tmp_path):
    settings = [f"market.folder={real_history}", f"output={tmp_path}", "tracking.enabled=false"]
    done = run_study(EXPERIMENT, settings)
    table = done.findings.tables["replays"]
    assert set(table.index.get_level_values("contract")) == {"BTCUSDT", "ETHUSDT", "ADAUSDT"}
    for _, part in table[~table.capped].groupby(["crash", "contract", "series"]):
        when = part.sort_index(level="leverage").liquidated.fillna(pd.Timestamp("2100-01-01"))
        assert when.is_monotonic_decreasing
    assert "2020-03-12: BTCUSDT 2x" in done.findings.line
    shipped = pd.read_csv(SHIPPED, index_col=[0, 1, 2, 3], parse_dates=["liquidated"])
    shipped = shipped.astype({"liquidated": table.liquidated.dtype})
    pd.testing.assert_frame_equal(table, shipped, check_dtype=False, rtol=1e-10)
