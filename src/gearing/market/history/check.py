"""Check a data folder: a table of findings.

Levels: ``error`` (a file is unusable), ``warning`` (loading refuses a span, or needs a choice) and ``note``. Nothing
is changed.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gearing.market.history import layout
from gearing.market.history.archive import check_archive_file
from gearing.market.history.check_series import (
    Finding,
    check_bars,
    check_coverage,
    check_funding,
    check_prices_agree,
    flagged,
    span,
)
from gearing.market.history.series import Bars
from gearing.market.timing import label
from gearing.storage.digest import file_digest
from gearing.storage.text import read_json, read_text

LEVELS = ("note", "warning", "error")


@dataclass(frozen=True)
class Report:
    """All files of a folder and all findings.

    Parameters
    ----------
    files : tuple of dict
        file, kind, bar, first, last, rows, missing (steps), of every series.
    findings : tuple of Finding
    """

    files: tuple[dict[str, Any], ...]
    findings: tuple[Finding, ...] = field(default=())

    @property
    def exit_code(self) -> int:
        """1 where a finding is an error, else 0."""
        return int(any(f.level == "error" for f in self.findings))

    def table(self) -> pd.DataFrame:
        """Findings as a table: level, file, rule, first, last, count, detail; errors first."""
        rows = sorted(self.findings, key=lambda f: (-LEVELS.index(f.level), f.file, f.rule))
        return pd.DataFrame([asdict(f) for f in rows], columns=list(Finding.__dataclass_fields__))

    def file_table(self) -> pd.DataFrame:
        """The files, one row each."""
        return pd.DataFrame(list(self.files))

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, ready for JSON."""
        return {
            "files": list(self.files),
            "findings": [asdict(f) for f in self.findings],
            "counts": {level: sum(f.level == level for f in self.findings) for level in LEVELS},
            "exit_code": self.exit_code,
        }

    def __str__(self) -> str:
        counts = self.to_dict()["counts"]
        return (
            f"{len(self.files)} files: {counts['error']} errors, {counts['warning']} warnings, "
            f"{counts['note']} notes"
        )


def check_folder(
    folder: str | os.PathLike[str] | None = None,
    symbols: Sequence[str] | None = None,
    venues: Sequence[str] | None = None,
) -> Report:
    """Check every series of a data folder.

    Parameters
    ----------
    folder : path, optional
        ``$GEARING_DATA`` by default.
    symbols, venues : sequence of str, optional
        Only these.
    """
    root = layout.data_folder(folder)
    files: list[dict[str, Any]] = []
    findings: list[Finding] = []
    homes = [
        home
        for home in contract_folders(root)
        if (symbols is None or home.name in symbols) and (venues is None or home.parent.name in venues)
    ]
    for home in homes:
        rows, found = _check_contract(root, home)
        files += rows
        findings += found
    findings += _check_brackets(root, homes)
    for path in sorted(root.glob("other-venues-funding/*.parquet")):
        if symbols is None and venues is None:
            findings += _check_funding_file(path, root, files)[0]
    findings += _check_together(homes)
    findings += _check_extras(root)
    return Report(tuple(files), tuple(findings))


def contract_folders(root: Path) -> list[Path]:
    """Folders ``<venue>/<SYMBOL>`` that hold at least one series in the layout."""
    homes = {path.parent for path in root.glob("*/*/*.parquet")}
    return sorted(h for h in homes if (h / "funding.parquet").is_file() or _series_files(h))


def _series_files(home: Path) -> list[tuple[str, np.timedelta64, Path]]:
    return [
        (kind, bar, layout.bar_file(home, kind, bar))
        for kind in layout.PREFIX
        for bar in layout.stored_bars(home, kind)
    ]


def _check_contract(root: Path, home: Path) -> tuple[list[dict[str, Any]], list[Finding]]:
    files: list[dict[str, Any]] = []
    findings: list[Finding] = []
    read: dict[tuple[str, np.timedelta64], Bars] = {}
    for kind, bar, path in _series_files(home):
        name = path.relative_to(root).as_posix()
        try:
            bars = layout.read_bars(path, volume=kind == "last")
        except (ValueError, OSError) as error:
            findings.append(Finding("error", name, "unreadable", detail=str(error)))
            continue
        found = check_bars(bars, bar, name, has_volume=kind == "last")
        findings += found
        read[kind, bar] = bars
        files.append(_described(name, kind, label(bar), bars.open_time, found))
    found, settled = _check_funding_file(home / "funding.parquet", root, files)
    findings += found
    name = home.relative_to(root).as_posix()
    findings += check_coverage(name, read, settled, _interval(home.parent.name))
    findings += check_prices_agree(name, read)
    return files, findings


def _check_funding_file(
    path: Path, root: Path, files: list[dict[str, Any]]
) -> tuple[list[Finding], np.ndarray | None]:
    """Findings, and the times of the settlements; None where the file is missing or invalid."""
    if not path.is_file():
        return [], None
    name = path.relative_to(root).as_posix()
    try:
        times, rates, marks = layout.funding_columns(path)
        found = check_funding(times, rates, marks, name, _interval(path.parent.parent.name))
    except (ValueError, OSError) as error:
        return [Finding("error", name, "unreadable", detail=str(error))], None
    files.append(_described(name, "funding", "", times, found))
    return found, None if any(f.level == "error" for f in found) else times


def _interval(venue: str) -> np.timedelta64:
    try:
        return layout.profile(venue).funding_interval
    except ValueError:
        return np.timedelta64(8, "h")


def _described(name: str, kind: str, bar: str, times: np.ndarray, found: list[Finding]) -> dict[str, Any]:
    """The row of a file in the report."""
    first, last = span(times.min(), times.max()) if times.size else ("", "")
    extent = {"first": first, "last": last, "rows": int(times.size)}
    lost = sum(f.count for f in found if f.rule == "gap")
    return {"file": name, "kind": kind, "bar": bar, **extent, "missing": lost}


def _check_brackets(root: Path, homes: Sequence[Path]) -> Iterator[Finding]:
    held = {}
    for file in (layout.HISTORY, layout.BRACKETS):
        try:
            held[file] = read_json(root / file, dict) if (root / file).is_file() else {}
        except ValueError as error:
            yield Finding("error", file, "unreadable", detail=str(error))
            return
    if held[layout.BRACKETS] and not held[layout.HISTORY]:
        yield Finding("warning", layout.BRACKETS, "undated brackets", detail="no history file dates them")
    for home in homes:
        name = home.relative_to(root).as_posix()
        foreign = layout.PROFILES.get(home.parent.name, home.parent.name) != "binance-usdm"
        if foreign and not (home.parent / layout.HISTORY).is_file():
            detail = "only Binance's can be used instead (missing_tiers='earliest')"
            yield Finding("warning", name, "no brackets of this venue", detail=detail)
            continue
        try:
            schedules, _ = layout.read_tiers(root, home.parent.name, home.name)
        except ValueError as error:
            yield Finding("warning", name, "no brackets", detail=str(error))
            continue
        yield from _bracket_dates(name, home, schedules[0].as_of, schedules[-1].as_of)


def _bracket_dates(name: str, home: Path, oldest: Any, newest: Any) -> Iterator[Finding]:
    bars = layout.stored_bars(home, "last")
    if not bars or oldest is None:
        return
    times = _openings(home, bars[-1])
    detail = f"the oldest brackets are from {oldest}; use missing_tiers='earliest' for these bars"
    early = times < np.datetime64(oldest)
    yield from flagged("warning", name, "bars before the oldest brackets", times, early, detail)
    if times.size and np.datetime64(newest) > times[-1] + np.timedelta64(30, "D"):
        detail = f"the newest brackets are from {newest}; bars use the nearest earlier copy"
        yield Finding("note", name, "brackets newer than the bars", detail=detail)


def _openings(home: Path, bar: np.timedelta64) -> np.ndarray:
    """Openings of the traded bars of a file, none where it is invalid."""
    try:
        return layout.read_bars(layout.bar_file(home, "last", bar), volume=False).open_time
    except (ValueError, OSError):
        return np.empty(0, "datetime64[ms]")


def _check_together(homes: Sequence[Path]) -> Iterator[Finding]:
    """Contracts whose series end before the others of their venue, and coins without some kind of data."""
    ends: dict[str, dict[str, np.datetime64]] = {}
    for home in homes:
        for bar in layout.stored_bars(home, "last")[-1:]:
            if (times := _openings(home, bar)).size:
                ends.setdefault(home.parent.name, {})[home.name] = times[-1] + bar
    for venue, by_symbol in ends.items():
        latest = max(by_symbol.values())
        for symbol, end in by_symbol.items():
            if latest - end > np.timedelta64(30, "D"):
                first, last = span(end, latest)
                detail = (
                    "the series ends before the others; after a delisting, a new name or a missing source"
                )
                yield Finding("warning", f"{venue}/{symbol}", "ends early", first, last, 1, detail)


def _check_extras(root: Path) -> Iterator[Finding]:
    for path in sorted(root.glob("dvol/*.parquet")):
        detail = (
            "the file does not say whether a value is the day's open or close: it counts as known a day later"
        )
        yield Finding(
            "note", path.relative_to(root).as_posix(), "daily value without a moment", detail=detail
        )
    for path in sorted(root.glob("vision-format/**/*")):
        if path.suffix in (".csv", ".zip"):
            yield from check_archive_file(path, path.relative_to(root).as_posix())
    for path in sorted(root.glob("other-venues-funding/*.parquet")):
        yield from _check_lag(root, path)
    yield from _check_absent(root)
    yield from _check_sums(root)


def _check_absent(root: Path) -> Iterator[Finding]:
    """Kinds of data absent from the folder."""
    kinds = {"index price": "*/*/index-*.parquet", "open interest": "*/*/metrics*.parquet"}
    kinds |= {"order book": "*/*/book*.parquet", "trades": "*/*/*rades*.parquet"}
    absent = [kind for kind, pattern in kinds.items() if not any(root.glob(pattern))]
    if absent:
        yield Finding("note", ".", "kinds absent", detail=", ".join(absent))
    coins = sorted(path.stem.removesuffix("-1d") for path in root.glob("dvol/*-1d.parquet"))
    yield Finding("note", ".", "implied volatility", detail=f"of {', '.join(coins) or 'no coin'} only")


def _check_lag(root: Path, path: Path) -> Iterator[Finding]:
    """Whether another venue's rates resemble Binance's of one settlement earlier more than those of the same time."""
    symbol = path.stem.split("-", 1)[-1]
    reference = root / "binance-um" / symbol / "funding.parquet"
    try:
        theirs, ours = layout.read_funding(path), layout.read_funding(reference)
    except (ValueError, OSError):
        return

    def likeness(lag: np.timedelta64) -> float:
        _, i, j = np.intersect1d(theirs["time"], ours["time"] + lag, return_indices=True)
        return float(np.corrcoef(theirs["rate"][i], ours["rate"][j])[0, 1]) if i.size > 100 else np.nan

    same, earlier = likeness(np.timedelta64(0, "ms")), likeness(_interval("binance-um"))
    if earlier > same + 0.05:
        detail = f"correlation {earlier:.2f} with Binance's rate of one settlement earlier, {same:.2f} at the same time"
        yield Finding("note", path.relative_to(root).as_posix(), "rates lag Binance's", detail=detail)


def _check_sums(root: Path) -> Iterator[Finding]:
    """Files that differ from the folder's own list of checksums, or are missing from it."""
    path = root / "SHA256SUMS"
    if not path.is_file():
        return
    try:
        lines = read_text(path).splitlines()
    except ValueError as error:
        yield Finding("error", path.name, "unreadable", detail=str(error))
        return
    for line in lines:
        digest, _, name = line.partition("  ")
        file = root / name.strip().removeprefix("./")
        if not file.is_file():
            yield Finding("error", name, "listed in SHA256SUMS but missing")
        elif file_digest(file) != digest:
            yield Finding("error", name, "checksum differs", detail="not the file that SHA256SUMS lists")
