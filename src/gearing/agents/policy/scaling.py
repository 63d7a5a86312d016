"""Constants of the network's first layer: centre and spread of each observation column."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gearing.features import FeatureTable
from gearing.simulation.observation import ObservationLayout

MARKET = "market"  # all columns of the market, in an agent's list of columns
_QUARTILES_OF_A_NORMAL = 1.349  # distance between its quartiles in standard deviations
_SMALLEST = 1e-8


def fit_scaling(
    layout: ObservationLayout,
    tables: Sequence[FeatureTable],
    kind: str,
    clip: float,
    columns: Sequence[str] | None,
    largest_leverage: float,
) -> dict[str, Any]:
    """Fit the arguments of `ScaledColumns`; contracts are pooled, account columns have fixed constants.

    Parameters
    ----------
    tables : of the training span only: the constants are part of the exported policy
    kind : {"robust", "standard", "none"}
    columns : names the network reads, "market" for all columns of the market, None for all of the observation
    largest_leverage : spread of the column ``effective_leverage``; the others lie in [0, 1] by nature

    Returns
    -------
    dict
        Plain values: ``centre`` and ``spread`` of all observation columns in order, rounded to float32, ``keep``
        (indices of the columns that the network reads) and ``clip``.
    """
    centre, spread = np.zeros(layout.size), np.ones(layout.size)
    if kind != "none":
        fitted = scaling_of(np.concatenate([_known_rows(table) for table in tables]), kind)
        market = len(layout.columns) * len(layout.symbols)
        centre[:market] = np.tile(fitted["centre"], len(layout.symbols))
        spread[:market] = np.tile(fitted["spread"], len(layout.symbols))
        spread[layout.locate("effective_leverage")] = largest_leverage
    centre, spread = centre.astype(np.float32), spread.astype(np.float32)
    keep = range(layout.size) if columns is None else _selected(layout, columns)
    return {"centre": centre.tolist(), "spread": spread.tolist(), "keep": list(keep), "clip": clip}


def scaling_of(values: np.ndarray, kind: str) -> dict[str, list[float]]:
    """``centre`` and ``spread`` of columns from their rows (n_rows, n_columns).

    Parameters
    ----------
    kind : {"robust", "standard", "none"}
    """
    if kind == "none":
        middle, width = np.zeros(values.shape[1]), np.ones(values.shape[1])
    else:
        middle, width = _robust(values) if kind == "robust" else _standard(values)
    return {"centre": middle.tolist(), "spread": width.tolist()}


def column_places(layout: ObservationLayout, name: str) -> list[int]:
    """Indices of a column in a flat observation: one per contract or slot, or the one of the account."""
    where = layout.locate(name)
    return list(range(layout.size)[where]) if isinstance(where, slice) else [where]


def _known_rows(table: FeatureTable) -> np.ndarray:
    """(n_rows * n_contracts, n_columns) after the warm-up."""
    return table.values[table.first_complete :].reshape(-1, len(table.columns)).astype(np.float64)


def _standard(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    width = values.std(axis=0)
    return values.mean(axis=0), np.where(width > _SMALLEST, width, 1.0)


def _robust(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low, middle, high = np.percentile(values, [25.0, 50.0, 75.0], axis=0)
    width = (high - low) / _QUARTILES_OF_A_NORMAL
    # A rate that is mostly constant has an interquartile range of zero, but a positive standard deviation.
    _, usual = _standard(values)
    return middle, np.where(width > 0.1 * usual, width, usual)


def named_columns(layout: ObservationLayout, columns: Sequence[str]) -> list[str]:
    """The names of columns, with "market" replaced by those of all columns of the market."""
    return [one for name in columns for one in (layout.columns if name == MARKET else (name,))]


def _selected(layout: ObservationLayout, columns: Sequence[str]) -> list[int]:
    try:
        return sorted(
            {place for name in named_columns(layout, columns) for place in column_places(layout, name)}
        )
    except KeyError as error:
        raise ValueError(f"agent columns: {error.args[0]}") from None
