"""Import what freqtrade keeps: candles, mark prices and funding rates, and the trades of its backtests."""

import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from gearing.contracts import venue_names
from gearing.market.data import MarketData
from gearing.market.history import layout
from gearing.market.history.columns import bars_of_table, settlements_of_table
from gearing.market.sources.importing import ImportReport, add_bars, add_funding
from gearing.market.timing import positive_duration, stamp
from gearing.names import did_you_mean
from gearing.storage.archives import unpacked
from gearing.storage.tables import read_table
from gearing.storage.text import decoded, parse_json, read_bytes

VENUES = {"binance": "binance-um", "okx": "okx-swap", "bybit": "bybit-linear"}  # exchange to our folder
_INVERSE = {"binance": "binance-coinm"}
_SUFFIXES = (".feather", ".parquet", ".json", ".json.gz", ".h5", ".hdf5")
_KINDS = {"futures": "last", "mark": "mark", "index": "index", "funding_rate": "funding"}
_NAME = re.compile(
    r"(?P<base>\w+?)_(?P<quote>[^\W_]+)_(?P<settle>[^\W_]+)-(?P<bar>\w+)-(?P<kind>futures|mark|index|funding_rate)"
)
_Target: TypeAlias = tuple[str, str, str, str]  # venue, symbol, kind, bar


def import_freqtrade(
    source: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    venue: str | None = None,
    pairs: Sequence[str] | None = None,
    replace: bool = False,
) -> ImportReport:
    """Import freqtrade's candles, mark and index prices and funding rates.

    Parameters
    ----------
    source : path
        ``user_data/data``, an exchange's folder in it, or its ``futures`` folder. Feather, Parquet, JSON and JSON in
        gzip are read.
    folder : path
        The data folder to write into.
    venue : str, optional
        Folder of the venue; by default it follows from the exchange's folder (binance, okx, bybit or a venue profile).
    pairs : sequence of str, optional
        As freqtrade writes them ("BTC/USDT:USDT"); all by default.
    replace : bool
        Take the imported rows where stored ones disagree.

    Returns
    -------
    ImportReport
        Files that cannot be read are listed in it; the series that they belong to are left as they were, all others are
        written.

    Raises
    ------
    ValueError
        If no file matches, or the exchange is not known.
    """
    if not Path(source).is_dir():
        raise ValueError(f"{source}: there is no such folder; give freqtrade's user_data/data.")
    venue = None if venue is None else layout.venue_folder(venue)
    files = sorted(p for p in Path(source).rglob("*") if p.name.lower().endswith(_SUFFIXES) and p.is_file())
    named = [(path, _NAME.fullmatch(_stem(path))) for path in files]
    wanted = None if pairs is None else {re.sub(r"[/ .@$+:]", "_", pair) for pair in pairs}
    chosen = [(p, m) for p, m in named if m and (wanted is None or p.name.split("-")[0] in wanted)]
    if not chosen:
        raise ValueError(
            f"{source}: no freqtrade futures files (BTC_USDT_USDT-1h-futures.feather) of these pairs."
        )
    series: dict[_Target, list[Path]] = defaultdict(list)
    failed = {}
    for path, match in chosen:
        try:
            series[_target(path, match, venue)].append(path)
        except ValueError as error:
            failed[str(path)] = str(error)
    if not series:
        raise ValueError(next(iter(failed.values())))
    report = _imported(series, Path(folder), replace)
    skipped = tuple(str(path) for path, match in named if match is None)
    return ImportReport(
        report.written, report.notes, dict(sorted({**failed, **report.failed}.items())), skipped
    )


def _target(path: Path, match: re.Match[str], venue: str | None) -> _Target:
    """Venue, symbol, kind and bar length of a file."""
    bar = "" if match["kind"] == "funding_rate" else match["bar"]
    if bar.endswith(("M", "Mo")):
        raise ValueError(f"{path}: months differ in length; only bars of one length are imported.")
    return _venue(path, match, venue), match["base"] + match["quote"], _KINDS[match["kind"]], bar


def _imported(series: Mapping[_Target, list[Path]], folder: Path, replace: bool) -> ImportReport:
    written: list[str] = []
    notes: list[str] = []
    failed = {}
    for (venue, symbol, kind, bar), paths in series.items():
        try:
            if kind == "funding":
                name, more = add_funding(
                    [(_rates(path), str(path)) for path in paths], folder, venue, symbol, replace
                )
            else:
                bars = [bars_of_table(read_table(path), str(path), kind=kind) for path in paths]
                name, more = add_bars(bars, folder, venue, symbol, kind, positive_duration(bar), replace)
        except ValueError as error:
            names = ", ".join(map(str, paths))
            named = any(str(path) in str(error) for path in paths)
            failed[names] = str(error) if named else f"{names}: {error}"
            continue
        written.append(name)
        notes += more
    return ImportReport(tuple(written), tuple(notes), failed)


def _rates(path: Path) -> np.ndarray:
    """Settlements of a file of candles: freqtrade stores the rate in the column open."""
    table = read_table(path)
    if len(table.columns) == 6 and not isinstance(table.columns[0], str):
        table = table[[0, 1]]  # JSON: lists of time, open, high, low, close, volume
    mapping = {"rate": "open"} if "open" in table else {}
    return settlements_of_table(table, str(path), mapping=mapping)


def _stem(path: Path) -> str:
    suffix = next(one for one in sorted(_SUFFIXES, key=len, reverse=True) if path.name.lower().endswith(one))
    return path.name[: -len(suffix)]


def _venue(path: Path, match: re.Match[str], given: str | None) -> str:
    """Folder of the venue that a file's own folder names."""
    home = path.parent.parent if path.parent.name == "futures" else path.parent
    kind = "inverse" if match["settle"] == match["base"] else "linear"
    known = _known_venue(home.name.lower(), kind)
    if known is None and given is None:
        raise ValueError(
            f"{path}: {kind} contracts of {home.name!r} have no venue here; give --venue, one of "
            f"{', '.join(layout.PROFILES)}, or import the exchange's folder (user_data/data/binance)."
        )
    if known is not None and given is not None and given != known:
        raise ValueError(
            f"{path} lies in the folder of {home.name}, whose venue is {known}; --venue says {given}."
        )
    venue = given or known or ""
    if layout.profile(venue).kind != kind:
        raise ValueError(
            f"{path}: an {kind} contract, and the contracts of {venue} are {layout.profile(venue).kind}."
        )
    return venue


def _known_venue(exchange: str, kind: str) -> str | None:
    """Folder of an exchange's contracts of a kind; None where there is none."""
    if exchange in VENUES:
        return (VENUES if kind == "linear" else _INVERSE).get(exchange)
    return exchange if exchange in venue_names() and layout.profile(exchange).kind == kind else None


def trades_signal(
    path: str | os.PathLike[str], market: MarketData, pair: str, strategy: str | None = None
) -> np.ndarray:
    """Read freqtrade's exported backtest trades as a signal: 1 long, -1 short, 0 flat, shape (n_bars,).

    Row k holds what is known at the close of bar k: a trade that opens at a bar's open was decided at the close of
    the one before, so its signal is in the rows whose close is at or after its opening and before its closing.

    Parameters
    ----------
    path : path
        Backtest result: JSON, or the zip that holds it.
    market : MarketData
        Gives the bars.
    pair : str
        As freqtrade writes it ("BTC/USDT:USDT").
    strategy : str, optional
        Needed if the file holds several.
    """
    results = _strategies(Path(path))
    name = strategy or (next(iter(results)) if len(results) == 1 else "")
    if name not in results:
        raise ValueError(
            f"{path}: holds the strategies {', '.join(results) or 'none'}; pass strategy= one of them."
        )
    trades = _trades(results[name], pair, f"{path}, {name}")
    signal = np.zeros(market.n_bars)
    for opened, closed, side in trades:
        first, last = np.searchsorted(market.close_time, [opened, closed])
        if (signal[first:last] == -side).any():
            raise ValueError(f"{path}, {name}: trades of {pair} that overlap at {opened} are long and short.")
        signal[first:last] = side
    return signal


def _strategies(path: Path) -> dict[str, Any]:
    content, where = unpacked(read_bytes(path), str(path), _is_result)
    results = parse_json(decoded(content, where), where, dict, allow_nan=True).get("strategy")
    if not isinstance(results, dict):
        raise ValueError(
            f"{where}: has no object 'strategy'; give a result of `freqtrade backtesting --export trades`."
        )
    return results


def _is_result(name: str) -> bool:
    """The result among the files of an export: not its settings, its strategy's parameters or its market changes."""
    return name.endswith(".json") and not name.endswith(("_config.json", "_market_change.json", ".meta.json"))


def _trades(result: Any, pair: str, where: str) -> list[tuple[np.datetime64, np.datetime64, float]]:
    """Opening, closing and side of the trades of a pair, in their order."""
    trades = result.get("trades") if isinstance(result, dict) else None
    if not isinstance(trades, list) or not all(
        isinstance(trade, dict) and "pair" in trade for trade in trades
    ):
        raise ValueError(f"{where}: has no list of trades with their pairs.")
    chosen = [trade for trade in trades if trade["pair"] == pair]
    if not chosen:
        known = sorted({str(trade["pair"]) for trade in trades})
        raise ValueError(f"{where}: no trades of {pair!r}.{did_you_mean(pair, known)}")
    return [_trade(trade, f"{where}: trade {number}") for number, trade in enumerate(chosen, start=1)]


def _trade(trade: dict[str, Any], where: str) -> tuple[np.datetime64, np.datetime64, float]:
    opened, closed = (
        stamp(trade.get(f"{side}_timestamp", trade.get(f"{side}_date")), f"{where}: {side}_timestamp")
        for side in ("open", "close")
    )
    if closed < opened:
        raise ValueError(f"{where}: closes at {closed}, before it opens at {opened}.")
    short = trade.get("is_short", False)
    if not isinstance(short, bool):
        raise ValueError(f"{where}: is_short is {short!r}; it must be true or false.")
    return opened, closed, -1.0 if short else 1.0
