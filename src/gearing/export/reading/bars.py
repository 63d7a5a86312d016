"""Read the inputs of a decision: recent bars and funding settlements.

Bars: a table (of pandas, or a mapping of columns), a CSV, JSON or Parquet file, or klines as Binance, Bybit and OKX
return them; rows in any order, with the columns

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
Account: see :mod:`gearing.export.account.reading`.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from gearing.contracts import Contract
from gearing.contracts.venues import VENUES
from gearing.export.bundle.files import BundleError
from gearing.export.bundle.manifest import Manifest
from gearing.export.reading.jumps import check_jumps
from gearing.export.reading.moment import check_fresh
from gearing.export.reading.table import Table, as_numbers, moments, read_given, with_contract
from gearing.features import get_feature, parse_duration
from gearing.market.data import MarketData
from gearing.market.history.assemble import Missing, assemble
from gearing.market.history.series import Bars, Series, settlement_rows, whole_minutes
from gearing.market.timing import label
from gearing.market.validate import check_ohlc
from gearing.names import check_names
from gearing.simulation.tape import decision_bars

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
        path = os.fspath(given) if isinstance(given, str | os.PathLike) else ""
        named = str(error) if path in str(error) else f"{path}: {error}"
        raise _NamedError(named, error.code) from error


@dataclass(frozen=True)
class Inputs:
    """The last bars before the last due decision, and what belongs to them.

    Attributes
    ----------
    market : MarketData
    signals : mapping of name to (n_bars, n_contracts)
    marks : (n_contracts,)
        Newest mark prices: of the last whole bar, which may close after the decision was due.
    notes : list of str
    has_marks : bool
        Whether mark prices were given; otherwise they are the traded prices.
    """

    market: MarketData
    signals: dict[str, np.ndarray]
    marks: np.ndarray
    notes: list[str]
    has_marks: bool = True


def read_market(
    manifest: Manifest,
    bars: Any,
    funding: Any,
    now: np.datetime64 | None,
    max_age: str | None,
    max_jump: float | str,
) -> Inputs:
    """The last bars before the last due decision, as a market.

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
    table = with_contract(read_given(bars, "bars", "open_time"), manifest.symbols, "bars")
    _check_columns(table, manifest)
    table = as_numbers(table, "bars", ("open_time", "contract"))
    table = table.with_("open_time", moments(table["open_time"], "bars: open_time"))
    last = _last_opens(table, manifest)
    interval = parse_duration(manifest.config.decision_interval)
    if now is not None:
        check_fresh(last, manifest.bar, interval, now, max_age)
    newest, moment, notes = _due(last, manifest, now)
    expected = moment - np.arange(manifest.lookback_bars, 0, -1) * manifest.bar
    parts, marks = {}, []
    for symbol in manifest.symbols:
        whole = _of_contract(table, symbol, "open_time")
        time = whole["open_time"]
        past = whole.where(time < moment)
        part = past.where(past["open_time"] >= expected[0])
        _check_complete(part["open_time"], symbol, expected, manifest.bar)
        _check_after(time, symbol, moment, newest, manifest.bar)
        _check_prices(whole.where((time >= moment) & (time < newest)), symbol)
        marks.append(_newest_mark(whole.where(time < newest)))
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
    signals = {name: np.stack([part[name] for part in parts.values()], axis=1) for name in manifest.signals}
    return Inputs(market, signals, np.array(marks), notes, _MARK[0] in table)


def _of_contract(table: Table, symbol: str, clock: str) -> Table:
    """Rows of a contract, in order of time."""
    own = table.where(table["contract"] == symbol)
    return own.where(np.argsort(own[clock], kind="stable"))


def _check_prices(bars: Table, symbol: str) -> None:
    """Refuse impossible prices of bars after the deciding close, which no market holds: they show who is liquidated."""
    for names in (_PRICES, _MARK) if _MARK[0] in bars else (_PRICES,):
        try:
            check_ohlc(bars.stacked(names), bars["open_time"], f"bars of {symbol}, {names[0]} to {names[-1]}")
        except ValueError as error:
            raise BundleError(str(error)) from error


def _newest_mark(bars: Table) -> float:
    return float(bars["mark_close" if "mark_close" in bars else "close"][-1])


def _check_columns(table: Table, manifest: Manifest) -> None:
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


def _last_opens(table: Table, manifest: Manifest) -> dict[str, np.datetime64]:
    """Opening of the last bar of every contract."""
    opens = {symbol: table["open_time"][table["contract"] == symbol] for symbol in manifest.symbols}
    missing = [symbol for symbol, times in opens.items() if not times.size]
    if missing:
        raise BundleError(
            f"bars: none of {', '.join(missing)}; this bundle needs {', '.join(manifest.symbols)}."
        )
    return {symbol: times.max() for symbol, times in opens.items()}


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
    return end, moment, [] if moment == closed else [later_note(manifest, moment)]


def later_note(manifest: Manifest, moment: np.datetime64) -> str:
    """Note of a decision whose bars reach beyond it."""
    return f"decisions fall every {manifest.config.decision_interval}: bars after {moment} UTC are left out"


def _check_after(
    stamps: np.ndarray, symbol: str, moment: np.datetime64, newest: np.datetime64, bar: np.timedelta64
) -> None:
    """Refuse a gap between the deciding close and the newest one."""
    lost = np.setdiff1d(np.arange(moment, newest, bar), stamps)
    if lost.size:
        raise BundleError(
            f"bars of {symbol}: {lost.size} missing after the deciding close, the first at {lost[0]} UTC; give all "
            "bars up to the newest.",
            "gap",
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
            "have no gap.",
            "gap",
        )
    if stamps.size > n_bars:
        off = np.setdiff1d(stamps, expected)[0]
        raise BundleError(f"bars of {symbol}: {off} is off the grid of the bundle's bars.")


def reads_funding(manifest: Manifest) -> bool:
    """Whether a feature reads settlements."""
    return bool(_readers(manifest))


def _readers(manifest: Manifest) -> list[str]:
    return [name for name in _feature_names(manifest) if "funding" in name or "settlement" in name]


def _funding(manifest: Manifest, funding: Any) -> Table | None:
    if funding is None:
        readers = _readers(manifest)
        if readers:
            raise BundleError(
                f"funding: {', '.join(readers)} read settlements; give a table with time and rate (funding=, or "
                "--funding FILE)."
            )
        return None
    table = with_contract(read_given(funding, "funding", "time"), manifest.symbols, "funding")
    unknown = [name for name in table.columns if name not in _FUNDING]
    if unknown or not {"time", "rate"} <= set(table.columns):
        raise BundleError(
            f"funding has columns {', '.join(map(str, table.columns))}; it takes time, rate and optionally mark and "
            "contract."
        )
    table = as_numbers(table, "funding", ("time", "contract"))
    return table.with_("time", whole_minutes(moments(table["time"], "funding: time")))


def _market(
    manifest: Manifest,
    parts: Mapping[str, Table],
    funding: Table | None,
    first: np.datetime64,
    moment: np.datetime64,
) -> MarketData:
    # The shipped profile with the venue's settlement interval; other venues use eight hours.
    name = manifest.venue.name if manifest.venue.name in VENUES else "binance-usdm"
    columns = next(iter(parts.values()))  # the same of every contract: they came in one table
    missing = Missing(
        mark="error" if _MARK[0] in columns else "last",
        funding="zero" if funding is None else "error",
        tiers="earliest",
    )
    try:
        series = [_series(one, parts[one.symbol], funding, manifest) for one in manifest.contracts]
        market = assemble(
            series, manifest.bar, first, moment, missing, VENUES[name].funding_interval, name, " ".join(parts)
        )
    except ValueError as error:
        problem = str(error)
        if "has no funding rate" in problem:
            gap = problem.split(" (")[0].replace(" has no funding rate", ": no settlement")
            raise BundleError(f"funding of {gap}; give all of the look-back, in UTC.") from error
        raise BundleError(problem if problem.startswith("funding") else f"bars: {problem}") from error
    if "predicted_rate" not in columns:
        return market
    known = np.stack([part["predicted_rate"] for part in parts.values()], axis=1)
    return market.replace(predicted_rate=known)


def _series(contract: Contract, part: Table, funding: Table | None, manifest: Manifest) -> Series:
    """The series of one contract, checked."""
    time, symbol, bar = part["open_time"], contract.symbol, manifest.bar

    def bars(names: Sequence[str], what: str, volume: bool = False) -> Bars:
        prices = np.ascontiguousarray(part.stacked(names))
        return Bars(time, prices, part["volume"] if volume else None, f"{what} of {symbol}").checked(bar)

    implied = None
    if "implied_volatility" in part:
        implied = (time + bar, part["implied_volatility"])
    return Series(
        contract,
        last=bars(_PRICES, "last", volume=True),
        mark=bars(_MARK, "mark") if _MARK[0] in part else None,
        index=bars(_INDEX, "index") if _INDEX[0] in _needed_by_features(manifest) else None,
        funding=None if funding is None else _settlements(funding, symbol),
        funding_where="funding",
        implied_volatility=implied,
    )


def _settlements(funding: Table, symbol: str) -> np.ndarray:
    own = _of_contract(funding, symbol, "time")
    return settlement_rows(own["time"], own["rate"], own.get("mark"), f"funding of {symbol}")


def check_finite(values: np.ndarray, manifest: Manifest, time: np.datetime64) -> None:
    """Refuse market columns (n_contracts, n_columns) that are not numbers."""
    if not (finite := np.isfinite(values)).all():
        bad = np.argwhere(~finite)
        contract, column = bad[0]
        raise BundleError(
            f"column {manifest.columns[column]!r} of {manifest.symbols[contract]} is not a number at {time} UTC; look "
            "for zero prices or volumes in the bars before it."
        )
