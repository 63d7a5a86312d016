"""Read the public archive's files: monthly and daily zips of CSV, with or without a header line.

Timestamps are milliseconds or, in later spot files, microseconds; the number of digits decides. Header names vary by
kind and year, the order of columns does not.
"""

import csv
import io
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from gearing.market.history.check_series import Finding, check_gaps
from gearing.market.history.layout import settlement_rows
from gearing.market.history.series import Bars, usual_step, whole_minutes

LARGEST = 256 * 2**20  # bytes of an unpacked file
MICROSECONDS = 10**14  # a stamp of 1973 in microseconds, of 5138 in milliseconds


def read_rows(content: bytes, where: str) -> list[list[str]]:
    """Rows of a CSV, or of the one CSV in a zip, without the header line if there is one.

    Raises
    ------
    ValueError
        If the zip is damaged or holds anything but one CSV.
    """
    rows = [row for row in csv.reader(io.StringIO(_unzipped(content, where).decode())) if row]
    return rows[1:] if rows and not rows[0][0][:1].isdigit() else rows


def read_klines(content: bytes, where: str, volume: bool = True) -> Bars:
    """Bars of a klines, markPriceKlines or indexPriceKlines file."""
    rows = read_rows(content, where)
    if any(len(row) < 6 for row in rows):
        raise ValueError(f"{where}: a row has fewer than six columns; the file is cut off.")
    table = np.array([row[:6] for row in rows], dtype=np.float64).reshape(-1, 6)
    return Bars(_stamps([row[0] for row in rows]), table[:, 1:5], table[:, 5] if volume else None, where)


def read_funding_rates(content: bytes, where: str) -> np.ndarray:
    """Settlements of a fundingRate file: calc_time, funding_interval_hours, last_funding_rate.

    Stamps carry some milliseconds of jitter and are rounded to the minute.
    """
    rows = read_rows(content, where)
    if any(len(row) < 3 for row in rows):
        raise ValueError(f"{where}: a row has fewer than three columns; the file is cut off.")
    times = whole_minutes(_stamps([row[0] for row in rows]))
    return settlement_rows(times, np.array([float(row[2]) for row in rows]), None, where)


def read_table(content: bytes, where: str) -> pd.DataFrame:
    """Any other kind (open-interest metrics, book depth) unchanged, with its header line."""
    table = pd.read_csv(io.BytesIO(_unzipped(content, where)))
    if table.empty:
        raise ValueError(f"{where}: has no rows.")
    return table


def check_archive_file(path: Path, name: str) -> Iterator[Finding]:
    """Findings of one archive file found in a data folder."""
    try:
        bars = read_klines(path.read_bytes(), name)
    except (ValueError, OSError) as error:
        yield Finding("error", name, "unreadable", detail=str(error))
        return
    if bars.open_time.size > 1:
        yield from check_gaps(bars.open_time, usual_step(bars.open_time), name)


def _unzipped(content: bytes, where: str) -> bytes:
    """The one CSV of a zip; anything else unchanged."""
    if content[:2] != b"PK":
        return content
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = [n for n in archive.namelist() if n.endswith(".csv")]
            if len(names) != 1:
                raise ValueError(f"{where}: holds {len(names)} CSV files, expected one.")
            with archive.open(names[0]) as member:
                found = member.read(LARGEST + 1)  # what the zip says of its size is not believed
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError):
        raise ValueError(f"{where}: damaged zip; download it again.") from None
    if len(found) > LARGEST:
        raise ValueError(
            f"{where}: {names[0]} unpacks to more than {LARGEST:,} bytes, more than a month of bars holds; it is not "
            "read."
        )
    return found


def _stamps(values: list[str]) -> np.ndarray:
    raw = np.array([int(float(v)) for v in values], np.int64)
    return np.where(raw >= MICROSECONDS, raw // 1000, raw).astype("datetime64[ms]")
