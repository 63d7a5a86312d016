"""Reconcile statements on disk: records of the venue, contracts, settlements and mark prices read from files."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from gearing.contracts import venue
from gearing.evaluation.reconcile.contracts import find_contracts
from gearing.evaluation.reconcile.mark_path import read_marks
from gearing.evaluation.reconcile.outcome import Reconciliation
from gearing.evaluation.reconcile.records.line import Line
from gearing.evaluation.reconcile.replay import reconcile
from gearing.evaluation.reconcile.settlements import read_settlements
from gearing.evaluation.reconcile.statements import read_statement
from gearing.market.history.layout import PROFILES, data_folder


def reconcile_files(
    paths: Iterable[Path],
    venue_name: str,
    fee_level: str | None = None,
    contracts: Path | Sequence[Path] | None = None,
    funding: Path | None = None,
    marks: Path | None = None,
    data: Path | None = None,
    date_format: str | None = None,
) -> Reconciliation:
    """Reconcile statements on disk.

    Parameters
    ----------
    paths : files of records as the venue returns them or its page exports them
    venue_name : name of the venue profile
    contracts : files of contracts and margin tiers, see :mod:`gearing.evaluation.reconcile.contracts`
    funding : settlements for records that omit them, as
        :func:`gearing.evaluation.reconcile.settlements.read_settlements` reads them
    marks : mark prices as :func:`gearing.evaluation.reconcile.mark_path.read_marks` reads them,
        for the moment of liquidations and for settlements without a mark
    data : data folder with margin tiers; default ``GEARING_DATA``, where it is set, else those shipped
    date_format : {"day-first", "month-first"} or a strptime format, for dates such as 01/02/2025

    Raises
    ------
    ValueError
        If a file cannot be read, naming it, the line and what to give.
    """
    profile = venue(venue_name)
    paths = list(paths)
    lines = [
        line
        for path, label in zip(paths, _labels(paths), strict=True)
        for line in read_statement(path, venue_name, label, date_format)
    ]
    symbols = sorted({line.symbol for line in lines if line.symbol and _needs_contract(line)})
    files = [contracts] if isinstance(contracts, Path) else list(contracts or ())
    prices = {line.symbol: float(line.given["price"]) for line in lines if "price" in line.given}
    known, tierless = find_contracts(symbols, profile, files, _data(data), prices)
    # The venue's subfolder in a folder of market data.
    folder = next((folder for folder, name in PROFILES.items() if name == venue_name), venue_name)
    paths_of_marks = None if marks is None else read_marks(marks, symbols, folder)
    settled = None if funding is None else read_settlements(funding, symbols, folder, date_format)
    return reconcile(lines, known, profile, settled, fee_level, paths_of_marks, tierless)


def _labels(paths: Sequence[Path]) -> list[str]:
    """Names of files for rows and messages: the last part of the path where that tells them apart."""
    names = Counter(path.name for path in paths)
    labels, seen = [], Counter[str]()
    for path in paths:
        label = path.name if names[path.name] == 1 else str(path)
        seen[label] += 1
        labels.append(label if seen[label] == 1 else f"{label} ({seen[label]})")
    return labels


def _needs_contract(line: Line) -> bool:
    """Whether a row has numbers of a contract; a flat row of a position has none."""
    flat = line.kind == "position" and float(line.given["quantity"]) == 0.0
    return line.kind != "skipped" and not flat


def _data(given: Path | None) -> Path | None:
    """The data folder, if there is one."""
    return data_folder(given) if given is not None or os.environ.get("GEARING_DATA") else None
