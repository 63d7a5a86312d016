"""Constants of the network's first layer: centre and spread of each observation column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gearing.features import FeatureTable
from gearing.simulation.observation import ObservationLayout

_QUARTILES_OF_A_NORMAL = 1.349  # distance between its quartiles in standard deviations
_SMALLEST = 1e-8


@dataclass(frozen=True, eq=False)
class ObservationScaling:
    """Scaled observation = clip((raw - centre) / spread, -clip, clip), of the columns at ``keep``.

    Attributes
    ----------
    centre, spread : (n_columns,) float32
        For all observation columns, in their order.
    keep : (n_selected,) int64
        Columns that the network reads.
    clip : float
    """

    centre: np.ndarray
    spread: np.ndarray
    keep: np.ndarray
    clip: float


def fit_scaling(
    layout: ObservationLayout,
    tables: Sequence[FeatureTable],
    kind: str,
    clip: float,
    columns: Sequence[str] | None,
    largest_leverage: float,
) -> ObservationScaling:
    """Fit the constants on training tables; contracts are pooled, account columns have fixed constants.

    Parameters
    ----------
    tables : of the training span only: the constants are part of the exported policy
    kind : {"robust", "standard", "none"}
    columns : names the network reads, None for all
    largest_leverage : spread of the column ``effective_leverage``; the others lie in [0, 1] by nature
    """
    centre, spread = np.zeros(layout.size), np.ones(layout.size)
    if kind != "none":
        values = np.concatenate([_known_rows(table) for table in tables])
        middle, width = _robust(values) if kind == "robust" else _standard(values)
        market = len(layout.columns) * len(layout.symbols)
        centre[:market] = np.tile(middle, len(layout.symbols))
        spread[:market] = np.tile(width, len(layout.symbols))
        spread[layout.locate("effective_leverage")] = largest_leverage
    return ObservationScaling(
        centre.astype(np.float32), spread.astype(np.float32), _selected(layout, columns), clip
    )


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


def _selected(layout: ObservationLayout, columns: Sequence[str] | None) -> np.ndarray:
    if columns is None:
        return np.arange(layout.size)
    places: list[int] = []
    for name in columns:
        try:
            where = layout.locate(name)
        except KeyError as error:
            raise ValueError(f"agent columns: {error.args[0]}") from None
        places += range(layout.size)[where] if isinstance(where, slice) else [where]
    return np.array(sorted(set(places)), np.int64)
