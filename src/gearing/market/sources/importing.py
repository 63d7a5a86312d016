"""Import tables of other programs into the folder layout.

An import adds rows to what a folder holds. Rows that agree with stored ones change nothing; rows that disagree are
refused, unless the caller chooses the imported ones. A file is written whole or not at all.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from gearing.market.history import layout
from gearing.market.history.columns import bars_of_table, settlements_of_table
from gearing.market.history.merging import (
    each_once,
    merged_bars,
    merged_funding,
    with_stored_bars,
    with_stored_funding,
)
from gearing.market.history.series import Bars, usual_step
from gearing.market.history.writing import write_bars, write_funding
from gearing.market.timing import label, positive_duration, text
from gearing.names import check_file_name
from gearing.storage.tables import read_table


@dataclass(frozen=True)
class ImportReport:
    """What an import wrote and what it left out.

    Parameters
    ----------
    written : tuple of str
        Files of the data folder, relative to it.
    notes : tuple of str
        Rows that were left out or counted once, and gaps.
    failed : mapping of str to str
        Sources that could not be imported, and why; their targets are unchanged.
    skipped : tuple of str
        Sources of kinds that are not imported.
    """

    written: tuple[str, ...]
    notes: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """1 where a source failed, else 0."""
        return int(bool(self.failed))


def import_table(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    folder: str | os.PathLike[str],
    symbol: str,
    kind: str = "last",
    bar: Any = None,
    mapping: Mapping[str, str] | None = None,
    venue: str = "binance-um",
    replace: bool = False,
    date_format: str | None = None,
) -> ImportReport:
    """Import tables of one series.

    Parameters
    ----------
    path : path, or sequence of paths
        Parquet, Feather, CSV or JSON, also in gzip or a zip of one file; see :mod:`gearing.storage.tables`. Several
        files, such as months of an archive, may overlap where they agree.
    folder : path
        Data folder.
    symbol : str
    kind : {"last", "mark", "index", "funding"}
    bar : str or timedelta, optional
        Length of the bars; by default their most frequent step. Not used for funding.
    mapping : mapping, optional
        gearing's column (open_time, open, high, low, close, volume; time, rate, mark) to the table's column, where
        that is none of the names in :mod:`gearing.market.history.columns`.
    venue : str
        Folder of the venue.
    replace : bool
        Take the imported rows where stored ones disagree.
    date_format : str, optional
        "day-first", "month-first" or a strptime format; see :func:`gearing.market.timing.stamps`.

    Raises
    ------
    ValueError
        Naming the file and what is wrong; nothing is written then.
    """
    if kind not in (*layout.PREFIX, "funding"):
        raise ValueError(f"kind is 'last', 'mark', 'index' or 'funding', not {kind!r}.")
    paths = [path] if isinstance(path, str | os.PathLike) else list(path)
    venue = layout.venue_folder(venue)
    check_file_name(symbol, "the contract")
    tables = [(read_table(Path(one)), str(one)) for one in paths]
    if kind == "funding":
        rates = [(settlements_of_table(t, where, symbol, mapping, date_format), where) for t, where in tables]
        name, notes = add_funding(rates, Path(folder), venue, symbol, replace)
        counts = [
            (where, len(table) - one.size) for (table, where), (one, _) in zip(tables, rates, strict=True)
        ]
        notes += [f"{where}: {count} rows repeat others; counted once" for where, count in counts if count]
    else:
        bars = [bars_of_table(table, where, symbol, mapping, date_format, kind) for table, where in tables]
        length = None if bar is None else positive_duration(bar)
        name, notes = add_bars(bars, Path(folder), venue, symbol, kind, length, replace)
    return ImportReport((name,), tuple(notes))


def add_bars(
    parts: Sequence[Bars],
    folder: Path,
    venue: str,
    symbol: str,
    kind: str,
    bar: np.timedelta64 | None,
    replace: bool,
) -> tuple[str, list[str]]:
    """Add bars to a file of the folder; returns its name in the folder, and notes."""
    read = [_complete(one, bar, kind) for one in parts]
    lengths = {length for _, length, _ in read}
    if len(lengths) > 1:
        raise ValueError(
            f"{parts[0].where}: bars of {', '.join(label(one) for one in sorted(lengths))} together."
        )
    length, notes = lengths.pop(), [note for _, _, more in read for note in more]
    target = layout.bar_file(layout.contract_folder(folder, venue, symbol), kind, length)
    joined = reduce(merged_bars, (bars for bars, _, _ in read))
    joined = with_stored_bars(target, joined, replace, volume=kind == "last")
    notes += _gaps(joined, length, target.relative_to(folder).as_posix())
    write_bars(target, joined, _origin([one.where for one in parts]))
    return target.relative_to(folder).as_posix(), notes


def add_funding(
    parts: Sequence[tuple[np.ndarray, str]], folder: Path, venue: str, symbol: str, replace: bool
) -> tuple[str, list[str]]:
    """Add settlements (with the file of each part) to those of the folder."""
    target = layout.contract_folder(folder, venue, symbol) / "funding.parquet"
    for rates, where in parts:
        if (bad := np.abs(rates["rate"]) >= 1.0).any():
            row = rates[int(bad.argmax())]
            raise ValueError(
                f"{where}: rate {row['rate']} at {text(row['time'])}; rates are fractions (0.0001 for 0.01 %)."
            )
    joined, where = parts[0]
    for rates, other in parts[1:]:
        joined = merged_funding(joined, rates, (where, other))
    joined = with_stored_funding(target, joined, where, replace)
    write_funding(target, joined, _origin([name for _, name in parts]))
    return target.relative_to(folder).as_posix(), []


def _complete(bars: Bars, bar: np.timedelta64 | None, kind: str) -> tuple[Bars, np.timedelta64, list[str]]:
    """Checked bars that have closed, their length, and notes of what was left out."""
    bars = bars if kind == "last" else replace(bars, volume=None)
    bars, repeated = each_once(bars)
    length = bar or _step(bars)
    bars.checked(length)
    _check_volume(bars)
    notes = [f"{bars.where}: {repeated} rows repeat others; counted once"] if repeated else []
    if kind == "last" and bars.volume is None:
        notes.append(f"{bars.where}: has no volume; features that read it see zero")
    closed = np.asarray(bars.open_time + length <= np.datetime64("now", "ms"))
    if (~closed[:-1]).any():
        raise ValueError(
            f"{bars.where}: bars from {text(bars.open_time[closed.argmin()])} on have not closed yet. Is open_time in "
            "UTC, the bar's opening?"
        )
    if not closed[-1]:
        notes.append(f"{bars.where}: the bar of {text(bars.open_time[-1])} has not closed yet; left out")
        volume = None if bars.volume is None else bars.volume[:-1]
        bars = replace(bars, open_time=bars.open_time[:-1], prices=bars.prices[:-1], volume=volume)
    return bars, length, notes


def _step(bars: Bars) -> np.timedelta64:
    if bars.open_time.size < 2:
        raise ValueError(
            f"{bars.where}: fewer than two bars do not define their length; give --bar (bar='1h')."
        )
    return usual_step(bars.open_time)


def _check_volume(bars: Bars) -> None:
    if bars.volume is not None and (bad := ~(np.isfinite(bars.volume) & (bars.volume >= 0.0))).any():
        row = int(bad.argmax())
        raise ValueError(
            f"{bars.where}: volume at {text(bars.open_time[row])} is {bars.volume[row]}; it must be zero or positive."
        )


def _gaps(bars: Bars, length: np.timedelta64, name: str) -> list[str]:
    steps = np.diff(bars.open_time)
    missing = int((steps / length).sum() - steps.size) if steps.size else 0
    if not missing:
        return []
    where = text(bars.open_time[int((steps > length).argmax())] + length)
    return [f"{name}: {missing} bars are missing, the first at {where}; `gearing data check` lists the gaps"]


def _origin(sources: Sequence[str]) -> str:
    more = f" and {len(sources) - 1} more" if len(sources) > 1 else ""
    return f"import of {Path(sources[0]).name}{more}"
