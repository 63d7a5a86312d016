"""Damaged tables, market folders and brackets: each is read, or refused with one message that names the file."""

import io
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st
from tests.fuzz.mutations import (
    Refused,
    expect_result_or_message,
    fuzz,
    mutated_arguments,
    mutated_bytes,
    mutated_csv,
    mutated_json,
    wild_values,
)

from gearing.market import (
    MarketData,
    check_folder,
    import_freqtrade,
    import_table,
    load_market,
    trades_signal,
    write_market,
)
from gearing.market.timing import stamp, stamps

N = 48
TIMES = pd.date_range("2025-01-01", periods=N, freq="h")
MILLISECONDS = TIMES.to_numpy().astype("datetime64[ms]").astype(np.int64)
CLOSE = 94_000.0 + np.arange(N)
BARS = pd.DataFrame(
    {
        "open_time": MILLISECONDS,
        "open": CLOSE,
        "high": CLOSE + 5.0,
        "low": CLOSE - 5.0,
        "close": CLOSE,
        "volume": 2.0,
    }
)
FUNDING = pd.DataFrame({"time": MILLISECONDS[::8], "rate": 0.0001})
DATED = BARS.assign(open_time=TIMES.strftime("%d/%m/%Y %H:%M"))
OKX = {"code": "0", "msg": "", "data": BARS.astype(str).to_numpy().tolist()[:6]}
TIER = {
    "min_notional": 0.0, "max_notional": 1e9, "max_leverage": 50, "maintenance_margin_rate": 0.01,
    "maintenance_amount": 0.0,
}  # fmt: skip
RESULT = {
    "strategy": {
        "Mine": {
            "trades": [
                {"pair": "BTC/USDT:USDT", "open_timestamp": 1, "close_timestamp": 2, "is_short": False}
            ]
        }
    }
}


@pytest.fixture(scope="module")
def market():
    return MarketData.from_frames(BARS, mark=BARS, funding=FUNDING, contract="BTCUSDT")


@pytest.fixture(scope="module")
def folder(market, tmp_path_factory):
    """A small data folder with brackets of its own."""
    home = tmp_path_factory.mktemp("folder")
    write_market(market, home)
    (home / "brackets.json").write_text(json.dumps({"BTCUSDT": [TIER]}))
    (home / "brackets-history.json").write_text(json.dumps({"2024-01-01": {"BTCUSDT": [TIER]}}))
    return home


@pytest.fixture
def place(tmp_path_factory):
    """A new folder for every input of a test."""
    made = []

    def new():
        made.append(Path(tempfile.mkdtemp(dir=tmp_path_factory.getbasetemp())))
        return made[-1]

    yield new
    for one in made:
        shutil.rmtree(one)


def imported(place, name, content, **options):
    """Import of a file; what is written has sound times and prices."""
    home = place()
    (home / name).write_bytes(content)

    def call():
        report = import_table(home / name, home / "data", "BTCUSDT", **options)
        stored = pd.read_parquet(home / "data" / report.written[0])
        assert len(stored)
        assert stored.iloc[:, 0].is_monotonic_increasing
        assert stored.iloc[:, 0].dt.year.between(2009, 2100).all()
        return report

    outcome = expect_result_or_message(call, [home / name])
    if isinstance(outcome, Refused):
        assert not list(home.glob("data/**/*.parquet"))


def check_imports(place, content, kind):
    name = "bars.json" if content[:1] in (b"[", b"{") else "bars.csv"
    imported(place, name, content, kind=kind)


TABLES = st.one_of(
    st.tuples(mutated_csv(BARS.to_csv(index=False)), st.just("last")),
    st.tuples(mutated_csv(DATED.to_csv(index=False)), st.just("last")),
    st.tuples(mutated_csv(BARS.to_csv(index=False, header=False)), st.sampled_from(["last", "mark"])),
    st.tuples(mutated_csv(FUNDING.to_csv(index=False)), st.just("funding")),
    st.tuples(mutated_json(OKX), st.just("last")),
    st.tuples(mutated_json(BARS[:5].to_dict("records")), st.sampled_from(["last", "funding"])),
)


@given(table=TABLES)
@fuzz(inputs=60)
def test_a_damaged_table_is_imported_or_refused_by_name(place, table):
    check_imports(place, *table)


@pytest.mark.slow
@given(table=TABLES)
@fuzz(inputs=4_000)
def test_thousands_of_damaged_tables_are_imported_or_refused_by_name(place, table):
    check_imports(place, *table)


def check_brackets(folder, place, name, content):
    home = place() / "data"
    shutil.copytree(folder, home)
    if name == "brackets.json":
        (home / "brackets-history.json").unlink()
    (home / name).write_bytes(content)
    expect_result_or_message(lambda: load_market(home, "BTCUSDT"))
    expect_result_or_message(lambda: check_folder(home))


BRACKETS = st.one_of(
    st.tuples(st.just("brackets.json"), mutated_json({"BTCUSDT": [TIER]})),
    st.tuples(st.just("brackets-history.json"), mutated_json({"2024-01-01": {"BTCUSDT": [TIER]}})),
)


@given(file=BRACKETS)
@fuzz(inputs=20)
def test_damaged_brackets_are_used_or_refused_by_name(folder, place, file):
    check_brackets(folder, place, *file)


@pytest.mark.slow
@given(file=BRACKETS)
@fuzz(inputs=1_500)
def test_many_damaged_brackets_are_used_or_refused_by_name(folder, place, file):
    check_brackets(folder, place, *file)


@st.composite
def mutated_frame(draw, frame):
    """A table with a damaged column, row, index or order."""
    made = frame.copy()
    column = draw(st.sampled_from(list(frame.columns)))
    change = draw(
        st.sampled_from(["cell", "constant", "text", "drop", "empty", "double", "index", "null", "twice"])
    )
    if change == "cell":
        made[column] = made[column].astype(object)
        made.iat[draw(st.integers(0, len(made) - 1)), made.columns.get_loc(column)] = draw(wild_values())
    elif change == "constant":
        made[column] = pd.Series([draw(wild_values())] * len(made), index=made.index, dtype=object)
    elif change == "text":
        made[column] = made[column].astype(str)
    elif change == "drop":
        made = made.drop(columns=column)
    elif change == "empty":
        made = made.iloc[:0]
    elif change == "double":
        made = pd.concat([made, made])
    elif change == "index":
        made = made.set_index(column)
    elif change == "null":
        made[column] = None
    else:
        made = pd.concat([made, made[[column]]], axis=1)
    return made


def check_frames(bars, rates):
    options = {"contract": "BTCUSDT", "missing_mark": "last", "missing_funding": "zero"}
    expect_result_or_message(lambda: MarketData.from_frames(bars, funding=rates, **options))


FRAMES = st.tuples(
    st.one_of(st.just(BARS), mutated_frame(BARS), mutated_frame(DATED)),
    st.one_of(st.just(FUNDING), mutated_frame(FUNDING)),
)


@given(frames=FRAMES)
@fuzz(inputs=50)
def test_damaged_frames_are_a_market_or_refused(frames):
    check_frames(*frames)


@pytest.mark.slow
@given(frames=FRAMES)
@fuzz(inputs=3_000)
def test_thousands_of_damaged_frames_are_a_market_or_refused(frames):
    check_frames(*frames)


def check_stored(folder, place, name, content):
    home = place() / "data"
    shutil.copytree(folder, home)
    file = home / "binance-um" / "BTCUSDT" / name
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        try:
            content.to_parquet(file)
        except Exception:  # no Parquet file can hold it
            return
    expect_result_or_message(lambda: load_market(home, "BTCUSDT"))
    expect_result_or_message(lambda: check_folder(home))


STORED = st.one_of(
    st.tuples(st.just("1h.parquet"), mutated_frame(BARS)),
    st.tuples(st.just("mark-1h.parquet"), mutated_frame(BARS)),
    st.tuples(st.just("funding.parquet"), mutated_frame(FUNDING)),
    st.tuples(st.just("1h.parquet"), mutated_bytes(BARS.to_parquet())),
)


@given(file=STORED)
@fuzz(inputs=20)
def test_a_damaged_file_of_a_folder_is_loaded_or_refused(folder, place, file):
    check_stored(folder, place, *file)


@pytest.mark.slow
@given(file=STORED)
@fuzz(inputs=1_500)
def test_many_damaged_files_of_a_folder_are_loaded_or_refused(folder, place, file):
    check_stored(folder, place, *file)


@given(value=wild_values())
@fuzz(inputs=200)
def test_any_value_is_a_moment_or_refused(value):
    outcome = expect_result_or_message(lambda: stamp(value, "now"))
    if not isinstance(outcome, Refused):
        assert 2009 <= outcome.astype("datetime64[Y]").astype(int) + 1970 <= 2100
    expect_result_or_message(lambda: stamps([value, 1_735_689_600_000], "time"))


@given(content=mutated_json(RESULT))
@fuzz(inputs=50)
def test_damaged_results_of_freqtrade_are_a_signal_or_refused_by_name(market, place, content):
    file = place() / "result.json"
    file.write_bytes(content)
    expect_result_or_message(lambda: trades_signal(file, market, "BTC/USDT:USDT"), [file])


CANDLES = io.BytesIO()
BARS.rename(columns={"open_time": "date"}).to_feather(CANDLES)


@given(content=mutated_bytes(CANDLES.getvalue()))
@fuzz(inputs=20)
def test_a_damaged_file_of_candles_is_imported_or_named(place, content):
    home = place() / "binance" / "futures"
    home.mkdir(parents=True)
    file = home / "BTC_USDT_USDT-1h-futures.feather"
    file.write_bytes(content)
    report = import_freqtrade(home, home / "data")
    assert report.written or file.name in report.failed[str(file)]


ARGUMENTS = (
    "data", "import", "--table", "bars.csv", "--symbol", "BTCUSDT", "--folder", "data", "--kind", "last", "--bar", "1h",
    "--column", "open_time=open_time", "--venue", "binance-um",
)  # fmt: skip


@given(arguments=mutated_arguments(ARGUMENTS))
@fuzz(inputs=50)
def test_any_arguments_of_an_import_end_in_a_result_or_one_message(place, monkeypatch, arguments):
    home = place()
    BARS.to_csv(home / "bars.csv", index=False)
    monkeypatch.chdir(home)
    expect_result_or_message(arguments)
