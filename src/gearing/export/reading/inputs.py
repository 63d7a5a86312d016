"""Read the inputs of a decision: recent bars and funding settlements.

Bars: a pandas table, a CSV or Parquet file, rows in any order, with the columns

    open_time                                   opening of the bar, UTC, in any unit that imports read; or the index
    open, high, low, close, volume              traded prices and volume in base units
    mark_open, mark_high, mark_low, mark_close  optional; default: traded prices
    index_open ... index_close                  where a feature needs the index price
    implied_volatility                          where a feature needs it, annualised, known at the bar's close
    predicted_rate                              where a feature needs it, of the next settlement
    contract                                    symbol, where the bundle decides on several contracts
    (signal columns)                            those the bundle lists, known at the bar's close
    source                                      of a data folder's own files; ignored

Funding: ``time`` (UTC), ``rate`` (fraction per settlement), optional ``mark``, ``contract`` where there are several.
Account: see :mod:`gearing.export.account.state`.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gearing.contracts.venues import VENUES
from gearing.export.bundle.files import BundleError
from gearing.export.bundle.manifest import Manifest
from gearing.export.reading.jumps import check_jumps
from gearing.export.reading.moment import check_fresh
from gearing.features import get_feature, parse_duration
from gearing.market.data import MarketData
from gearing.market.timing import label, stamps
from gearing.market.validate import check_ohlc
from gearing.names import check_names
from gearing.simulation.tape import decision_bars
from gearing.storage.tables import numbers, read_table

_PRICES = ("open", "high", "low", "close")
_KNOWN_AT_CLOSE = ("implied_volatility", "predicted_rate")
_REQUIRED = ("open_time", *_PRICES, "volume")
_MARK = tuple(f"mark_{p}" for p in _PRICES)
_INDEX = tuple(f"index_{p}" for p in _PRICES)
_FUNDING = ("time", "rate", "mark", "contract")


class _NamedError(BundleError):
    """Names its file already."""


@contextmanager
def naming(given: Any) -> Iterator[None]:
    """Let what is refused inside name the file that was given, if it was a file, and no other file."""
    try:
        yield
    except BundleError as error:
        if isinstance(error, _NamedError):
            raise
        if not isinstance(given, str | os.PathLike):
            raise _NamedError(str(error)) from error
        path = os.fspath(given)
        raise _NamedError(str(error) if path in str(error) else f"{path}: {error}") from error


def _read_table(given: Any, what: str) -> pd.DataFrame:
    """A given table, or that of a file, without the column ``source`` of a data folder's files."""
    if isinstance(given, pd.DataFrame):
        clock = "open_time" if what == "bars" else "time"
        if isinstance(given.index, pd.DatetimeIndex) and clock not in given:
            given = given.rename_axis(clock).reset_index()
        return given.drop(columns="source", errors="ignore")
    if not isinstance(given, str | os.PathLike):
        raise BundleError(f"{what}: {str(given)[:80]!r} is neither a table nor the path of one.")
    try:
        return read_table(Path(given)).drop(columns="source", errors="ignore")
    except ValueError as error:
        raise BundleError(f"{what}: {error}") from error


def _as_numbers(table: pd.DataFrame, what: str, but: Sequence[str]) -> pd.DataFrame:
    """The table with all columns but some as numbers."""
    try:
        made = {name: numbers(table[name], f"{what}: {name}") for name in table.columns if name not in but}
    except ValueError as error:
        raise BundleError(str(error)) from error
    return table.assign(**made)


def _moments(values: pd.Series, what: str) -> np.ndarray:
    try:
        return stamps(values, what)
    except ValueError as error:
        raise BundleError(str(error)) from error


def read_market(
    manifest: Manifest,
    bars: Any,
    funding: Any,
    now: np.datetime64 | None,
    max_age: str | None,
    max_jump: float | str,
) -> tuple[MarketData, dict[str, np.ndarray], np.ndarray, list[str]]:
    """The last bars before the last due decision as a market, the signal columns on them, the newest marks, and notes.

    The newest marks (n_contracts,) are those of the last whole bar, which may close after the decision was due.

    Parameters
    ----------
    now : datetime64[ms] or None
        The decision is made at the last due close not after it; None takes the last due close of the bars.
    max_age, max_jump
        As in `Bundle.decide`.

    Raises
    ------
    BundleError
        For missing, unknown, too few, incomplete, old or jumping bars.
    """
    table = _with_contract(bars, manifest, "bars")
    _check_columns(table, manifest)
    table = _as_numbers(table, "bars", ("open_time", "contract"))
    table["open_time"] = _moments(table["open_time"], "bars: open_time")
    last = _last_opens(table, manifest)
    interval = parse_duration(manifest.config.decision_interval)
    if now is not None:
        check_fresh(last, manifest.bar, interval, now, max_age)
    newest, moment, notes = _due(last, manifest, now)
    expected = moment - np.arange(manifest.lookback_bars, 0, -1) * manifest.bar
    parts, marks = {}, []
    for symbol in manifest.symbols:
        whole = table[table["contract"] == symbol].sort_values("open_time")
        past = whole[whole["open_time"] < moment]
        part = past[past["open_time"] >= expected[0]].reset_index(drop=True)
        _check_complete(part["open_time"].to_numpy().astype("datetime64[ms]"), symbol, expected, manifest.bar)
        _check_after(
            whole["open_time"].to_numpy().astype("datetime64[ms]"), symbol, moment, newest, manifest.bar
        )
        _check_prices(whole[(whole["open_time"] >= moment) & (whole["open_time"] < newest)], symbol)
        marks.append(_newest_mark(whole[whole["open_time"] < newest]))
        check_jumps(past, symbol, int(interval // manifest.bar), manifest.bar, max_jump)
        parts[symbol] = part
    with naming(funding):
        cash = _funding(manifest, funding)
    if cash is None:
        notes.append("no funding was given, and nothing here reads it")
    if _MARK[0] not in table:
        notes.append("no mark prices were given: traded prices are used")
    try:
        market = _market(manifest, parts, cash, expected[0], moment)
    except BundleError as error:
        with naming(funding if "funding of" in str(error) else bars):
            raise
    signals = {
        name: np.stack([part[name].to_numpy(np.float64) for part in parts.values()], axis=1)
        for name in manifest.signals
    }
    return market, signals, np.array(marks), notes


def _check_prices(bars: pd.DataFrame, symbol: str) -> None:
    """Refuse impossible prices of bars after the deciding close, which no market holds: they show who is liquidated."""
    time = bars["open_time"].to_numpy().astype("datetime64[ms]")
    for names in (_PRICES, _MARK) if _MARK[0] in bars else (_PRICES,):
        try:
            check_ohlc(
                bars[list(names)].to_numpy(np.float64), time, f"bars of {symbol}, {names[0]} to {names[-1]}"
            )
        except ValueError as error:
            raise BundleError(str(error)) from error


def _newest_mark(bars: pd.DataFrame) -> float:
    return float(bars["mark_close" if "mark_close" in bars else "close"].iloc[-1])


def _with_contract(given: Any, manifest: Manifest, what: str) -> pd.DataFrame:
    table, symbols = _read_table(given, what), manifest.symbols
    if "contract" not in table:
        if len(symbols) > 1:
            raise BundleError(f"{what}: the bundle decides on {', '.join(symbols)}; add a column 'contract'.")
        return table.assign(contract=symbols[0])
    unknown = sorted(set(table["contract"]) - set(symbols), key=str)
    if unknown:
        raise BundleError(
            f"{what}: contract {unknown[0]!r} is not in this bundle, which has {', '.join(symbols)}."
        )
    return table


def _check_columns(table: pd.DataFrame, manifest: Manifest) -> None:
    needed = (*_REQUIRED, *manifest.signals, *_needed_by_features(manifest))
    known = (*_REQUIRED, *_MARK, *_INDEX, *_KNOWN_AT_CLOSE, "contract", *manifest.signals)
    check_names("bars: unknown column", table.columns, known, BundleError, "Drop it or rename it.")
    missing = [name for name in needed if name not in table]
    if missing:
        raise BundleError(f"bars: no column {', '.join(missing)}; this bundle needs {', '.join(needed)}.")
    some = [name for name in _MARK if name in table]
    if some and len(some) < 4:
        raise BundleError(
            f"bars: of the mark price only {', '.join(some)} were given; give all four or none."
        )


def _needed_by_features(manifest: Manifest) -> list[str]:
    """Columns that features need beyond traded prices."""
    needs = {need for name in _feature_names(manifest) for need in get_feature(name).needs}
    columns: list[str] = list(_INDEX) if "index" in needs else []
    return columns + [name for name in _KNOWN_AT_CLOSE if name in needs]


def _feature_names(manifest: Manifest) -> list[str]:
    return [*manifest.features, *(name for spec in manifest.forecasts for name in spec.inputs)]


def _last_opens(table: pd.DataFrame, manifest: Manifest) -> dict[str, np.datetime64]:
    """Opening of the last bar of every contract."""
    last = table.groupby("contract")["open_time"].max()
    missing = [symbol for symbol in manifest.symbols if symbol not in last.index]
    if missing:
        raise BundleError(
            f"bars: none of {', '.join(missing)}; this bundle needs {', '.join(manifest.symbols)}."
        )
    return {symbol: np.datetime64(last[symbol], "ms") for symbol in manifest.symbols}


def _due(
    last: Mapping[str, np.datetime64], manifest: Manifest, now: np.datetime64 | None
) -> tuple[np.datetime64, np.datetime64, list[str]]:
    """The last close that the bars of every contract reach, and the last due one; whole bars only."""
    bar = manifest.bar
    closed = min(last.values()) + bar
    late = 0 if now is None else max(0, int((closed - now + bar - np.timedelta64(1, "ms")) // bar))
    end = closed - late * bar
    interval = parse_duration(manifest.config.decision_interval)
    grid = end - np.arange(int(interval // bar) + 1) * bar
    due = grid[decision_bars(grid, interval, bar)]
    if due.size == 0:
        raise BundleError(
            f"bars: the last closes at {closed}, off the grid of {label(bar)} bars; give bars that open on it (UTC)."
        )
    moment = due.max()
    note = f"decisions fall every {manifest.config.decision_interval}: bars after {moment} UTC are left out"
    return end, moment, [] if moment == closed else [note]


def _check_after(
    stamps: np.ndarray, symbol: str, moment: np.datetime64, newest: np.datetime64, bar: np.timedelta64
) -> None:
    """Refuse a gap between the deciding close and the newest one."""
    lost = np.setdiff1d(np.arange(moment, newest, bar), stamps)
    if lost.size:
        raise BundleError(
            f"bars of {symbol}: {lost.size} missing after the deciding close, the first at {lost[0]} UTC; give all "
            "bars up to the newest."
        )


def _check_complete(stamps: np.ndarray, symbol: str, expected: np.ndarray, bar: np.timedelta64) -> None:
    n_bars, first = expected.size, expected[0]
    if stamps.size == 0 or stamps[0] > first:
        raise BundleError(
            f"bars of {symbol}: {stamps.size} before the decision at {expected[-1] + bar} UTC, but this bundle looks "
            f"back over {n_bars} bars of {label(bar)}; give all bars from {first} on."
        )
    if np.unique(stamps).size < stamps.size:
        twice = stamps[1:][stamps[1:] == stamps[:-1]][0]
        raise BundleError(f"bars of {symbol}: {twice} is repeated; keep one of them.")
    lost = np.setdiff1d(expected, stamps)
    if lost.size:
        raise BundleError(
            f"bars of {symbol}: {lost.size} missing, the first at {lost[0]} UTC; the look-back of {n_bars} bars must "
            "have no gap."
        )
    if stamps.size > n_bars:
        off = np.setdiff1d(stamps, expected)[0]
        raise BundleError(f"bars of {symbol}: {off} is off the grid of the bundle's bars.")


def _funding(manifest: Manifest, funding: Any) -> pd.DataFrame | None:
    if funding is None:
        readers = [name for name in _feature_names(manifest) if "funding" in name]
        if readers:
            raise BundleError(
                f"funding: {', '.join(readers)} read settlements; give a table with time and rate (funding=, or "
                "--funding FILE)."
            )
        return None
    table = _with_contract(funding, manifest, "funding")
    unknown = [name for name in table.columns if name not in _FUNDING]
    if unknown or not {"time", "rate"} <= set(table.columns):
        raise BundleError(
            f"funding has columns {', '.join(map(str, table.columns))}; it takes time, rate and optionally mark and "
            "contract."
        )
    table = _as_numbers(table, "funding", ("time", "contract"))
    table["time"] = _moments(table["time"], "funding: time")
    return table


def _market(
    manifest: Manifest,
    parts: dict[str, pd.DataFrame],
    funding: pd.DataFrame | None,
    first: np.datetime64,
    moment: np.datetime64,
) -> MarketData:
    def frames(names: Sequence[str]) -> dict[str, pd.DataFrame]:
        renamed = dict(zip(names, _PRICES, strict=True))
        return {s: part[["open_time", *names]].rename(columns=renamed) for s, part in parts.items()}

    def column(name: str, delay: np.timedelta64) -> dict[str, pd.Series]:
        return {s: part.set_index(part["open_time"] + delay)[name] for s, part in parts.items()}

    columns = next(iter(parts.values()))  # the same of every contract: they came in one table
    options: dict[str, Any] = {}
    if _MARK[0] in columns:
        options["mark"] = frames(_MARK)
    if _INDEX[0] in _needed_by_features(manifest):
        options["index"] = frames(_INDEX)
    if "implied_volatility" in columns:
        options["implied_volatility"] = column("implied_volatility", manifest.bar)
    if funding is not None:
        options["funding"] = {
            s: funding[funding["contract"] == s].drop(columns="contract").sort_values("time") for s in parts
        }
    try:
        market = MarketData.from_frames(
            {s: part[list(_REQUIRED)] for s, part in parts.items()},
            contract={c.symbol: c for c in manifest.contracts},
            bar=manifest.bar,
            # The shipped profile with the venue's settlement interval; other venues use eight hours.
            venue=manifest.venue.name if manifest.venue.name in VENUES else "binance-usdm",
            missing_mark="error" if "mark" in options else "last",
            missing_funding="zero" if funding is None else "error",
            start=first,
            end=moment,
            **options,
        )
    except ValueError as error:
        problem = str(error).removeprefix("from_frames: ")
        if "has no funding rate" in problem:
            gap = problem.split(" (")[0].replace(" has no funding rate", ": no settlement")
            raise BundleError(f"funding of {gap}; give all of the look-back, in UTC.") from error
        raise BundleError(problem if problem.startswith("funding") else f"bars: {problem}") from error
    if "predicted_rate" not in columns:
        return market
    rates = column("predicted_rate", np.timedelta64(0, "ms"))
    known = [rates[symbol].reindex(market.open_time).to_numpy(np.float64) for symbol in market.symbols]
    return replace(market, predicted_rate=np.stack(known, axis=1))
