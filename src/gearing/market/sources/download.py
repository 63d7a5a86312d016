"""Download real history from the Binance public archive into the folder layout.

The archive holds monthly and daily zips, each with a CHECKSUM file:
``data/futures/um/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2024-01.zip``. Verified zips are cached under ``.archive`` in
the data folder, so that an interrupted run resumes; the Parquet files are built from them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gearing.market.history import layout
from gearing.market.history.archive import read_funding_rates, read_klines, read_table
from gearing.market.history.writing import joined_bars, joined_funding, write_bars, write_funding
from gearing.market.sources.fetching import Fetcher, FetchSettings, Outcome, remove_abandoned_parts
from gearing.market.timing import label, positive_duration, stamp, text
from gearing.names import check_file_name
from gearing.storage.atomic import write_atomically

KINDS = {
    "klines": "last",
    "mark": "mark",
    "index": "index",
    "funding": "funding",
    "metrics": "metrics",
    "book-depth": "book-depth",
}
NAMES = {"klines": "klines", "mark": "markPriceKlines", "index": "indexPriceKlines"}
TABLES = {"metrics": "metrics", "book-depth": "bookDepth"}  # daily only
ARCHIVE = ".archive"
DEFAULT_KINDS = ("klines", "mark", "funding")


@dataclass(frozen=True)
class Hole:
    """Days of a kind that the archive lacks, [first, end)."""

    symbol: str
    kind: str
    first: str
    end: str

    def __str__(self) -> str:
        return f"{self.symbol} {self.kind}: nothing from {self.first} to {self.end}"


@dataclass(frozen=True)
class FetchReport:
    """The result of a download.

    Parameters
    ----------
    outcomes : tuple of Outcome
        One per archive file.
    written : tuple of str
        Parquet files built, relative to the data folder.
    unknown : tuple of str
        Contracts without any file in the archive: misspelt, or of another period.
    missing : tuple of Hole
        What the archive lacks after a contract's first file: days that are holes in the data, or its end.
    allow_missing : bool
        Whether holes are no failure.
    """

    outcomes: tuple[Outcome, ...]
    written: tuple[str, ...]
    unknown: tuple[str, ...] = ()
    missing: tuple[Hole, ...] = ()
    allow_missing: bool = False

    @property
    def failed(self) -> tuple[Outcome, ...]:
        return tuple(o for o in self.outcomes if o.state == "failed")

    @property
    def exit_code(self) -> int:
        """1 where a file failed or is missing or a contract is unknown, else 0.

        Absent months before a contract's first file (before its listing) are no failure.
        """
        return int(bool(self.failed or self.unknown or (self.missing and not self.allow_missing)))

    def counts(self) -> dict[str, int]:
        """Number of files by state."""
        return {s: sum(o.state == s for o in self.outcomes) for s in ("new", "kept", "absent", "failed")}

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        failures = [{"path": o.path, "detail": o.detail} for o in self.failed]
        return {
            "files": self.counts(),
            "written": list(self.written),
            "failed": failures,
            "unknown": list(self.unknown),
            "missing": [vars(hole) for hole in self.missing],
        }

    def __str__(self) -> str:
        counts = ", ".join(f"{n} {state}" for state, n in self.counts().items())
        return f"{len(self.outcomes)} archive files: {counts}; {len(self.written)} Parquet files written"


def fetch(
    symbols: Sequence[str] | str,
    folder: str | os.PathLike[str],
    bar: Any = "1h",
    start: Any = "2020-01-01",
    end: Any = None,
    kinds: Sequence[str] = DEFAULT_KINDS,
    venue: str = "binance-um",
    settings: FetchSettings | None = None,
    progress: Callable[[Outcome, int, int], None] | None = None,
    allow_missing: bool = False,
) -> FetchReport:
    """Download bars, mark prices and funding of contracts.

    Parameters
    ----------
    symbols : str or sequence of str
    folder : path
        The data folder; created if missing.
    bar : str or timedelta
        Length of the bars, one of the archive's ("1m", "5m", "15m", "1h", "4h", "1d", ...).
    start, end : date or text, optional
        Half-open; by default up to the beginning of today.
    kinds : sequence of {"klines", "mark", "index", "funding", "metrics", "book-depth"}
    venue : {"binance-um"}
        Bybit and OKX have no such archive.
    settings : FetchSettings, optional
        Base address, workers, retries and waits.
    progress : callable, optional
        Called with (outcome, number done, number of files) after each file.
    allow_missing : bool
        Whether files that the archive lacks after a contract's first one are no failure; the report names them.

    Raises
    ------
    ValueError
        For unknown kinds or venues, a symbol that cannot name a folder, or an empty period. A file that cannot be
        fetched is in the report instead.
    """
    wanted = tuple(dict.fromkeys([symbols] if isinstance(symbols, str) else symbols))
    _check_request(wanted, kinds, venue)
    days = _days(start, end)
    root = Path(folder)
    length = label(positive_duration(bar))
    remove_abandoned_parts(root)
    fetcher = Fetcher(root / ARCHIVE, settings or FetchSettings())
    paths = [p for s in wanted for kind in kinds for p in archive_paths(kind, s, length, *days)]
    outcomes = fetcher.fetch_all(paths, progress)
    late = _daily_instead(outcomes, days[1])
    outcomes = [o for o in outcomes if o.path not in late]
    outcomes += fetcher.fetch_all([p for parts in late.values() for p in parts], progress)
    written = [name for s in wanted for kind in kinds if (name := build(root, venue, s, kind, length))]
    unknown = [s for s in wanted if all(o.state == "absent" for o in outcomes if f"/{s}/" in o.path)]
    missing = [hole for s in wanted if s not in unknown for hole in holes(outcomes, s, kinds, length)]
    return FetchReport(tuple(outcomes), tuple(written), tuple(unknown), tuple(missing), allow_missing)


def archive_paths(kind: str, symbol: str, bar: str, first: date, last: date) -> list[str]:
    """Paths of the archive files of a kind over the days first <= day < last.

    Whole months are monthly files, the days of the current month daily ones.
    """
    paths = []
    for month in pd.date_range(first.replace(day=1), last - timedelta(days=1), freq="MS").date:
        following = _next_month(month)
        if kind in TABLES:
            paths += _daily(kind, symbol, bar, max(month, first), min(following, last))
        elif kind == "funding" or following <= last:
            paths.append(_path("monthly", kind, symbol, bar, f"{month:%Y-%m}"))
        else:
            paths += _daily(kind, symbol, bar, month, last)
    return paths


def build(root: Path, venue: str, symbol: str, kind: str, bar: str) -> str | None:
    """Build one Parquet file from the verified archive files of a kind; returns its name, None if there are none.

    Rows that the Parquet file has and the archive files do not are kept.
    """
    sources = sorted((root / ARCHIVE).glob(_path("*", kind, symbol, bar, "*")))
    if not sources:
        return None
    home = layout.contract_folder(root, venue, symbol)
    if kind == "funding":
        target = home / "funding.parquet"
        parts = [read_funding_rates(p.read_bytes(), str(p)) for p in sources]
        for part, source in zip(parts, sources, strict=True):
            _check_days(part["time"], source)
        write_funding(target, joined_funding(parts, target), "public archive")
    elif kind in TABLES:
        target = home / f"{kind}.parquet"
        table = pd.concat([read_table(p.read_bytes(), str(p)) for p in sources]).drop_duplicates()
        write_atomically(target, lambda part: table.to_parquet(part, index=False))
    else:
        target = layout.bar_file(home, KINDS[kind], positive_duration(bar))
        bars = [read_klines(p.read_bytes(), str(p), volume=kind == "klines") for p in sources]
        for one, source in zip(bars, sources, strict=True):
            _check_days(one.open_time, source)
        write_bars(target, joined_bars(bars, target), "public archive")
    return target.relative_to(root).as_posix()


def _check_days(moments: np.ndarray, source: Path) -> None:
    """Refuse an archive file of which no row lies in the days of its name."""
    first, end = (np.datetime64(day, "ms") for day in _span(source.name))
    if not ((moments >= first) & (moments < end)).any():
        raise ValueError(
            f"{source}: holds rows from {text(moments[0])} to {text(moments[-1])}, none of the days of its name; "
            "delete it to fetch it again."
        )


def holes(outcomes: Iterable[Outcome], symbol: str, kinds: Sequence[str], bar: str) -> list[Hole]:
    """What the archive lacks of a contract after its first file, as spans of days.

    Prices and funding begin together, other kinds on their own. Files that are published later are no holes: monthly
    ones for ten days after the month, daily ones for three.
    """
    known = {kind: _files(outcomes, kind, symbol, bar) for kind in kinds}
    listed = min((day for kind in kinds if kind not in TABLES for day in _present(known[kind])), default=None)
    found: list[Hole] = []
    for kind, files in known.items():
        begins = min(_present(files), default=None) if kind in TABLES else listed
        for first, end in sorted(span for span, outcome in files.items() if _is_hole(span, outcome, begins)):
            if found and (found[-1].kind, found[-1].end) == (kind, str(first)):
                found[-1] = Hole(symbol, kind, found[-1].first, str(end))
            else:
                found.append(Hole(symbol, kind, str(first), str(end)))
    return found


def _files(outcomes: Iterable[Outcome], kind: str, symbol: str, bar: str) -> dict[tuple[date, date], Outcome]:
    """Files of a kind by their days."""
    stems = tuple(_stem(rhythm, kind, symbol, bar) for rhythm in ("monthly", "daily"))
    return {_span(o.path): o for o in outcomes if o.path.startswith(stems)}


def _present(files: Mapping[tuple[date, date], Outcome]) -> list[date]:
    return [first for (first, _), outcome in files.items() if outcome.state != "absent"]


def _is_hole(span: tuple[date, date], outcome: Outcome, begins: date | None) -> bool:
    published = span[1] + timedelta(days=10 if "/monthly/" in outcome.path else 3)
    late = published < datetime.now(UTC).date()
    return outcome.state == "absent" and begins is not None and span[0] >= begins and late


def _span(path: str) -> tuple[date, date]:
    """Days of an archive file, half-open."""
    year, month, day = re.findall(r"-(\d{4})-(\d\d)(?:-(\d\d))?\.zip", path)[0]
    first = date(int(year), int(month), int(day or 1))
    return first, first + timedelta(days=1) if day else _next_month(first)


def _check_request(symbols: Sequence[str], kinds: Sequence[str], venue: str) -> None:
    if not (symbols and kinds):
        raise ValueError("nothing to fetch: name at least one contract and one kind.")
    for symbol in symbols:
        check_file_name(symbol, "the contract")
    if unknown := [k for k in kinds if k not in KINDS]:
        raise ValueError(f"no data kind {', '.join(unknown)}; known: {', '.join(KINDS)}.")
    if venue != "binance-um":
        raise ValueError(f"no public archive is known for {venue!r}; only 'binance-um' has one.")


def _days(start: Any, end: Any) -> tuple[date, date]:
    today = datetime.now(UTC).date()
    first = stamp(start).astype("datetime64[D]").item()
    last = today if end is None else min(stamp(end).astype("datetime64[D]").item(), today)
    if first >= last:
        raise ValueError(f"no day is in [{first}, {last}); choose an earlier start or a later end.")
    return first, last


def _daily_instead(outcomes: Iterable[Outcome], last: date) -> dict[str, list[str]]:
    """Daily files for recent months without a monthly file, by the monthly file's path."""
    late: dict[str, list[str]] = {}
    for outcome in outcomes:
        if outcome.state != "absent" or "/monthly/" not in outcome.path or "/fundingRate/" in outcome.path:
            continue
        year, month = (int(x) for x in outcome.path.removesuffix(".zip").rsplit("-", 2)[1:])
        first = date(year, month, 1)
        if first >= last.replace(day=1) - timedelta(days=32):
            count = (min(_next_month(first), last) - first).days
            stem = outcome.path.replace("/monthly/", "/daily/").removesuffix(f"{first:%Y-%m}.zip")
            late[outcome.path] = [f"{stem}{first + timedelta(days=k)}.zip" for k in range(count)]
    return late


def _daily(kind: str, symbol: str, bar: str, first: date, last: date) -> list[str]:
    days = (first + timedelta(days=k) for k in range((last - first).days))
    return [_path("daily", kind, symbol, bar, str(day)) for day in days]


def _path(rhythm: str, kind: str, symbol: str, bar: str, when: str) -> str:
    return f"{_stem(rhythm, kind, symbol, bar)}{when}.zip"


def _stem(rhythm: str, kind: str, symbol: str, bar: str) -> str:
    """Path of an archive file up to its month or day."""
    if kind in NAMES:
        return f"data/futures/um/{rhythm}/{NAMES[kind]}/{symbol}/{bar}/{symbol}-{bar}-"
    name = TABLES.get(kind, "fundingRate")
    return f"data/futures/um/{rhythm}/{name}/{symbol}/{symbol}-{name}-"


def _next_month(month: date) -> date:
    return (month.replace(day=1) + timedelta(days=32)).replace(day=1)
