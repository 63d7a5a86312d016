"""Where the observations of training lay, per column and jointly, so that a policy is not followed outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gearing.features.table import FeatureTable

RIDGE = 1e-3  # added to the correlation matrix: columns that are nearly the same must not divide by nothing
_QUANTILES = (0.5, 0.9, 0.99, 0.999)


@dataclass(frozen=True)
class Ranges:
    """What the market columns of training held, of all contracts together.

    The joint distance is Mahalanobis': the root of z R^-1 z for the standardised columns z and their correlation R.

    Attributes
    ----------
    span : tuple of str
        First bar's opening and last bar's close, UTC.
    rows : int
    low, high : tuple of float
        Smallest and largest value of each column.
    centre, scale : tuple of float
        Mean and standard deviation (1 where a column never changed).
    inverse : tuple of tuples
        Inverse of the correlation matrix, with a ridge of 0.001.
    largest : float
        Largest joint distance seen.
    quantiles : mapping
        Of the joint distance, by share of the rows.
    """

    span: tuple[str, str]
    rows: int
    low: tuple[float, ...]
    high: tuple[float, ...]
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    inverse: tuple[tuple[float, ...], ...]
    largest: float
    quantiles: Mapping[str, float]

    @classmethod
    def of(cls, table: FeatureTable) -> Ranges | None:
        """Ranges of the complete rows of a table; None for fewer than ten."""
        values = np.asarray(table.values, np.float64)
        rows = values.reshape(-1, values.shape[2])
        rows = rows[np.isfinite(rows).all(axis=1)]
        if len(rows) < 10:
            return None
        centre, spread = rows.mean(axis=0), rows.std(axis=0)
        scale = np.where(spread > 0.0, spread, 1.0)
        z = (rows - centre) / scale
        inverse = np.linalg.inv(z.T @ z / len(z) + RIDGE * np.eye(z.shape[1]))
        distance = np.sqrt(np.einsum("ij,jk,ik->i", z, inverse, z))
        return cls(
            span=(str(table.open_time[0]), str(table.close_time[-1])),
            rows=len(rows),
            low=tuple(rows.min(axis=0).tolist()),
            high=tuple(rows.max(axis=0).tolist()),
            centre=tuple(centre.tolist()),
            scale=tuple(scale.tolist()),
            inverse=tuple(map(tuple, inverse.tolist())),
            largest=float(distance.max()),
            quantiles={str(q): float(np.quantile(distance, q)) for q in _QUANTILES},
        )

    @cached_property
    def _arrays(self) -> tuple[np.ndarray, ...]:
        """Low, high, centre, scale and inverse."""
        return tuple(np.array(one) for one in (self.low, self.high, self.centre, self.scale, self.inverse))

    def _widened(self, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
        """Low and high with a share of the range between them added, computed once."""
        known = self.__dict__.setdefault("_limits", {})
        if tolerance not in known:
            low, high = self._arrays[:2]
            known[tolerance] = low - tolerance * (high - low), high + tolerance * (high - low)
        return known[tolerance]

    def distance(self, row: np.ndarray) -> float:
        """Joint distance of one contract's columns (n_columns,)."""
        _, _, centre, scale, inverse = self._arrays
        z = (np.asarray(row, np.float64) - centre) / scale
        return float(np.sqrt(max(0.0, z @ inverse @ z)))

    def outside(self, row: np.ndarray, columns: tuple[str, ...], tolerance: float) -> list[str]:
        """What lies outside, in words.

        Parameters
        ----------
        row : (n_columns,)
        tolerance : float
            How far beyond what was seen is accepted, as a share of the column's range and of the largest distance.
        """
        found = []
        low, high = self._arrays[:2]
        least, most = self._widened(tolerance)
        beyond = (row < least) | (row > most)
        for k in np.flatnonzero(beyond) if beyond.any() else ():
            found.append(f"{columns[k]} is {row[k]:.6g}, in training {low[k]:.6g} to {high[k]:.6g}")
        distance = self.distance(row)
        if distance > (1.0 + tolerance) * self.largest:
            found.append(
                f"the columns together are {distance:.3g} standard deviations from the training's mean, in training at "
                f"most {self.largest:.3g}"
            )
        return found
