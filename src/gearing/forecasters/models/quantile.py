"""Quantiles of variance by linear quantile regression of its log."""

import numpy as np
from numpy.typing import NDArray

from gearing.forecasters.models.linear import LinearVariance, standards


class QuantileVariance(LinearVariance):
    """One quantile of variance, linear in logs (Koenker and Bassett, 1978).

    Quantiles are invariant under the log, so no bias correction is needed: ``predict`` returns the quantile.

    Parameters
    ----------
    quantile : float, default=0.5
    l1 : float, default=0.002
        Penalty on standardised columns.
    """

    def __init__(self, quantile: float = 0.5, l1: float = 0.002):
        self.quantile = quantile
        self.l1 = l1

    def _fit(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        from sklearn.linear_model import QuantileRegressor

        mean, spread = standards(X)
        model = QuantileRegressor(quantile=self.quantile, alpha=self.l1, solver="highs")
        model.fit((X - mean) / spread, np.log(y))
        self._set_line(X, model.coef_, float(model.intercept_))
