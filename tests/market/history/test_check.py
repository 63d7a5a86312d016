import json

import numpy as np
import pandas as pd
import pytest

from gearing.market import synthetic_market
from gearing.market.history.check import check_folder
from gearing.market.history.layout import read_bars, read_funding
from gearing.market.history.series import Bars
from gearing.market.history.writing import write_bars, write_funding, write_market
from gearing.storage.digest import file_digest

BRACKETS = [
    {
        "min_notional": 0,
        "max_notional": 1e6,
        "max_leverage": 50,
        "maintenance_margin_rate": 0.01,
        "maintenance_amount": 0.0,
    }
]


@pytest.fixture
def folder(tmp_path):
    write_market(synthetic_market("market-b", seed=1, years=60 / 365, contracts=("AAAUSDT",)), tmp_path)
    (tmp_path / "brackets-history.json").write_text(json.dumps({"2019-12-31": {"AAAUSDT": BRACKETS}}))
    return tmp_path


def rules(folder, level=None):
    return {f.rule for f in check_folder(folder).findings if level in (None, f.level)}


def break_bars(folder, change, name="1h.parquet"):
    path = folder / "binance-um" / "AAAUSDT" / name
    bars = read_bars(path)
    time, prices, volume = change(bars.open_time.copy(), bars.prices.copy(), bars.volume.copy())
    write_bars(path, Bars(time, prices, volume, ""), "test")


def put(prices, row, field, value):
    prices[row, field] = value
    return prices


def test_a_whole_folder_has_no_errors_or_warnings(folder):
    report = check_folder(folder)
    assert report.exit_code == 0
    assert not [f for f in report.findings if f.level != "note"]
    assert {row["kind"] for row in report.files} == {"last", "mark", "index", "funding"}


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("duplicate stamp", lambda t, p, v: (np.where(t == t[5], t[4], t), p, v)),
        ("not sorted", lambda t, p, v: (t[[1, 0, *range(2, t.size)]], p, v)),
        ("off the grid", lambda t, p, v: (t + np.timedelta64(1000, "ms"), p, v)),
        ("OHLC violation", lambda t, p, v: (t, p[:, [0, 2, 1, 3]], v)),
        ("price not positive", lambda t, p, v: (t, put(p, 7, 3, np.nan), v)),
        ("volume negative", lambda t, p, v: (t, p, v - 1e12)),
    ],
)
def test_a_broken_file_is_an_error(folder, rule, change):
    break_bars(folder, change)
    assert rule in rules(folder, "error")
    assert check_folder(folder).exit_code == 1


def test_a_gap_is_found_with_its_place_and_length(folder):
    break_bars(
        folder, lambda t, p, v: (np.delete(t, [50, 51]), np.delete(p, [50, 51], 0), np.delete(v, [50, 51]))
    )
    gap = next(f for f in check_folder(folder).findings if f.rule == "gap")
    assert (gap.first, gap.last, gap.count) == ("2020-01-03 02:00", "2020-01-03 03:00", 2)


def test_a_print_that_comes_straight_back_is_an_outlier(folder):
    def spike(time, prices, volume):
        prices[100] *= 2.0
        return time, prices, volume

    break_bars(folder, spike)
    assert "outlier" in rules(folder, "warning")


def test_coverage_of_mark_and_funding_against_the_traded_bars_is_reported(folder):
    home = folder / "binance-um" / "AAAUSDT"
    break_bars(folder, lambda t, p, v: (t, p, v))
    marks, rates = read_bars(home / "mark-1h.parquet"), read_funding(home / "funding.parquet")
    write_bars(home / "mark-1h.parquet", Bars(marks.open_time[48:], marks.prices[48:], None, ""), "test")
    write_funding(home / "funding.parquet", rates[6:], "test")
    found = {f.rule: f for f in check_folder(folder).findings}
    assert found["traded bars without mark"].count == 48
    # the first settlement left is on the 3rd at 00:00, so those due before begin with the bars
    assert found["traded bars before funding"].first == "2020-01-01 00:00"


def test_changes_of_the_funding_interval_and_large_rates_are_reported(folder):
    path = folder / "binance-um" / "AAAUSDT" / "funding.parquet"
    rows = read_funding(path)
    extra = rows[10:12].copy()
    extra["time"] += np.timedelta64(2, "h")
    extra["rate"] = -0.05
    write_funding(path, np.sort(np.concatenate([rows, extra]), order="time"), "test")
    found = {f.rule: f for f in check_folder(folder).findings}
    assert found["funding interval changes"].count == 2
    assert found["large rate"].count == 2


def test_brackets_without_a_date_or_too_new_are_reported(folder):
    (folder / "brackets-history.json").write_text(json.dumps({"2020-02-01": {"AAAUSDT": BRACKETS}}))
    assert "bars before the oldest brackets" in rules(folder, "warning")
    (folder / "brackets-history.json").unlink()
    (folder / "brackets.json").write_text(json.dumps({"AAAUSDT": BRACKETS}))
    assert "undated brackets" in rules(folder, "warning")


def test_a_file_that_is_no_parquet_is_an_error_and_does_not_stop_the_check(folder):
    (folder / "binance-um" / "AAAUSDT" / "mark-1h.parquet").write_bytes(b"half a file")
    report = check_folder(folder)
    assert ("error", "unreadable") in {(f.level, f.rule) for f in report.findings}
    assert len(report.files) == 3


def test_files_that_differ_from_their_listed_checksum_are_errors(folder):
    path = folder / "binance-um" / "AAAUSDT" / "1h.parquet"
    (folder / "SHA256SUMS").write_text(f"{file_digest(path)}  ./binance-um/AAAUSDT/1h.parquet\n")
    assert check_folder(folder).exit_code == 0
    break_bars(folder, lambda t, p, v: (t, p * 2, v))
    assert "checksum differs" in rules(folder, "error")


def test_the_report_is_plain_values(folder):
    assert json.loads(json.dumps(check_folder(folder).to_dict()))["exit_code"] == 0
    assert list(check_folder(folder).table().columns) == [
        "level",
        "file",
        "rule",
        "first",
        "last",
        "count",
        "detail",
    ]


# Every defect that the README of the history lists: file, rule, first, last (None: not compared).
LISTED = [
    ("binance-um/BTCUSDT", "traded bars without mark", "2019-09-08 17:00", "2019-12-23 10:00"),
    ("binance-um/BTCUSDT", "traded bars before funding", "2019-09-08 17:00", None),
    ("binance-um/ADAUSDT", "funding before the first traded bar", "2020-01-19 16:00", None),
    ("binance-um/ADAUSDT", "mark before the first traded bar", "2020-01-19 09:00", None),
    *(
        (f"binance-um/{s}USDT", "traded bars before funding", None, None)
        for s in ("SOL", "BNB", "DOGE", "LINK", "AVAX")
    ),
    *(
        (f"binance-um/{s}USDT", "traded bars without mark", None, "2025-04-30 23:00")
        for s in ("DOGE", "LINK", "AVAX")
    ),
    *((f"binance-um/{s}USDT", "traded bars without mark", None, "2025-06-30 23:00") for s in ("SOL", "BNB")),
    (".", "kinds absent", None, None),
    (".", "implied volatility", None, None),
    ("binance-um/BCHUSDT/funding.parquet", "gap", "2023-08-03 08:00", "2025-03-06 08:00"),
    ("binance-um/TRXUSDT/funding.parquet", "gap", "2023-08-17 08:00", "2024-02-15 00:00"),
    ("binance-um/TRXUSDT/funding.parquet", "gap", "2025-04-14 08:00", "2025-04-30 16:00"),
    ("binance-um/FILUSDT/funding.parquet", "gap", "2024-10-22 08:00", "2025-05-21 16:00"),
    ("binance-um/BTCUSDT/1m.parquet", "gap", None, None),
    ("binance-um/BTCUSDT/5m.parquet", "gap", None, None),
    ("binance-um/MATICUSDT", "ends early", "2024-04-18 03:00", None),
    ("binance-um/MATICUSDT", "no funding", None, None),
    ("binance-um/SOLUSDT/funding.parquet", "funding interval changes", "2022-11-09 20:00", None),
    ("dvol/BTC-1d.parquet", "daily value without a moment", None, None),
    ("other-venues-funding/htx-BTCUSDT.parquet", "gap", None, None),
    ("other-venues-funding/htx-BTCUSDT.parquet", "funding interval changes", None, None),
    ("other-venues-funding/gate-BTCUSDT.parquet", "gap", None, None),
    ("other-venues-funding/kucoin-BTCUSDT.parquet", "funding clock", None, None),
    ("other-venues-funding/bybit-ETHUSDT.parquet", "rates lag Binance's", None, None),
    ("okx-swap/BTCUSDT/funding.parquet", "gap", "2025-01-02 08:00", "2025-01-09 00:00"),
    ("binance-um/BTCUSDT", "bars before the oldest brackets", "2019-09-08 17:00", None),
    ("binance-um/BTCUSDT", "brackets newer than the bars", None, None),
    ("vision-format/spot/BTCUSDT-1h-2023-03.csv", "gap", "2023-03-24 13:00", "2023-03-24 13:00"),
    ("binance-um/BTCUSDT/1h.parquet", "no trading", "2019-09-08 18:00", None),
    ("binance-um/BTCUSDT", "traded wick beyond mark", "2020-03-12 10:00", None),
    ("binance-um/BTCUSDT", "finer bars disagree", None, None),
]


@pytest.mark.slow
def test_every_defect_listed_for_the_real_history_is_found(real_history):
    report = check_folder(real_history)
    for file, rule, first, last in LISTED:
        found = [
            f
            for f in report.findings
            if f.file == file and f.rule == rule and first in (None, f.first) and last in (None, f.last)
        ]
        assert found, (file, rule, first, last)
    assert report.exit_code == 0


def test_a_settlement_at_no_price_is_an_error(folder):
    path = folder / "binance-um" / "AAAUSDT" / "funding.parquet"
    table = pd.read_parquet(path)
    table.assign(mark=np.where(np.arange(len(table)) == 3, 0.0, 100.0)).to_parquet(path, index=False)
    found = {f.rule: f for f in check_folder(folder).findings}["mark not positive"]
    assert (found.level, found.count, found.first) == (
        "error",
        1,
        "2020-01-02 00:00",
    )  # the fourth of every 8 hours
