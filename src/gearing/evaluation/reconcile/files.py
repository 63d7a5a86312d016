"""Reconcile statements on disk: records of the venue, contracts, settlements and mark prices read from files."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from gearing.contracts import Contract, VenueProfile, shipped_schedules, shipped_symbols, venue
from gearing.evaluation.reconcile.mark_path import read_marks
from gearing.evaluation.reconcile.replay import Reconciliation, reconcile
from gearing.evaluation.reconcile.statements import read_statement
from gearing.market.history.layout import PROFILES


def reconcile_files(
    paths: Iterable[Path],
    venue_name: str,
    fee_level: str | None = None,
    contracts: Path | None = None,
    funding: Path | None = None,
    marks: Path | None = None,
) -> Reconciliation:
    """Reconcile statements on disk.

    Parameters
    ----------
    paths : files of records as the venue returns them
    venue_name : name of the venue profile
    contracts : JSON list of ``Contract.to_dict``; without it, the contracts whose tiers ship with the package
    funding : table with symbol, time, rate and mark, for records that omit them
    marks : mark prices as :func:`gearing.evaluation.reconcile.mark_path.read_marks` reads them,
        for the moment of liquidations

    Raises
    ------
    ValueError
        If the tiers of a contract are not known, or the marks cannot be read.
    """
    profile = venue(venue_name)
    lines = [line for path in paths for line in read_statement(path, venue_name)]
    symbols = sorted({line.symbol for line in lines})
    if contracts is not None:
        known = [Contract.from_dict(one) for one in json.loads(contracts.read_text(encoding="utf-8"))]
    else:
        known = [_shipped(symbol, profile) for symbol in symbols]
    # The venue's subfolder in a folder of market data.
    folder = next((folder for folder, name in PROFILES.items() if name == venue_name), venue_name)
    paths_of_marks = None if marks is None else read_marks(marks, symbols, folder)
    return reconcile(lines, known, profile, _settlements(funding), fee_level, paths_of_marks)


def _shipped(symbol: str, profile: VenueProfile) -> Contract:
    if symbol not in shipped_symbols():
        raise ValueError(
            f"the margin tiers of {symbol!r} do not ship with the package ({', '.join(shipped_symbols())} do); "
            "give them with --contracts FILE."
        )
    return profile.contract(symbol, shipped_schedules(symbol))


def _settlements(path: Path | None) -> dict[tuple[str, np.datetime64], tuple[float, float]]:
    if path is None:
        return {}
    table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    times = pd.to_datetime(table["time"], utc=True).dt.tz_localize(None).to_numpy().astype("datetime64[m]")
    rows = zip(table["symbol"], times, table["rate"], table["mark"], strict=True)
    return {(symbol, time): (float(rate), float(mark)) for symbol, time, rate, mark in rows}
