"""Read the public archive's files: monthly and daily zips of CSV, with or without a header line."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from gearing.market.history.check_series import Finding, check_gaps
from gearing.market.history.columns import bars_of_table, settlements_of_table
from gearing.market.history.series import Bars, usual_step
from gearing.storage.archives import unpacked
from gearing.storage.tables import table_of
from gearing.storage.text import read_bytes

LARGEST = 256 * 2**20  # bytes of an unpacked file, more than a month of bars holds


def read_klines(content: bytes, where: str, volume: bool = True) -> Bars:
    """Bars of a klines, markPriceKlines or indexPriceKlines file."""
    bars = bars_of_table(read_table(content, where), where)
    return bars if volume else replace(bars, volume=None)


def read_funding_rates(content: bytes, where: str) -> np.ndarray:
    """Settlements of a fundingRate file: calc_time, funding_interval_hours, last_funding_rate."""
    return settlements_of_table(read_table(content, where), where)


def read_table(content: bytes, where: str) -> pd.DataFrame:
    """Any kind (open-interest metrics, book depth, too) as it stands in the file.

    Raises
    ------
    ValueError
        If the file is damaged, or a zip that holds anything but one CSV.
    """
    found, _ = unpacked(content, where, lambda name: name.endswith(".csv"), LARGEST)
    return table_of(found, where)


def check_archive_file(path: Path, name: str) -> Iterator[Finding]:
    """Findings of one archive file found in a data folder."""
    try:
        bars = read_klines(read_bytes(path), name)
    except ValueError as error:
        yield Finding("error", name, "unreadable", detail=str(error))
        return
    if bars.open_time.size > 1:
        yield from check_gaps(bars.open_time, usual_step(bars.open_time), name)
