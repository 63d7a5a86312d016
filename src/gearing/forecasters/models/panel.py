"""One linear model of variance for every contract of a panel."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_array

from gearing.forecasters.models.linear import LinearVariance

CLOCK, LEVEL = 0, 1  # places of the two columns that are no regressors


class PanelForecaster(LinearVariance):
    """Ridge regression of log variance relative to the contract's own month, for contracts it was not fitted on.

    What is regressed has no units of a contract: the target is the log of the variance that followed less the log of
    the month before, and columns are relative to that month, too. So one line serves every contract, a new one from
    its first weeks (Bollerslev, Hood, Huss and Pedersen, "Risk Everywhere", 2018).

    A row of X: a clock (``days_since_2000``), the contract's log variance per day of the last month
    (``panel_level``), and regressors; see `gearing.forecasters.register.PANEL_COLUMNS`.

    Parameters
    ----------
    penalty : float, default=0.1
        L2 penalty per row, on standardised regressors.
    half_life : float, default=730.0
        Days after which a training row weighs half of the newest.

    Attributes
    ----------
    coef_ : (n_columns,) float64
        Zero for the clock, one for the level.
    intercept_ : float
        Log of the smearing factor included.
    smearing_ : float
        Weighted mean of exp(residual): turns the predicted median into a mean.
    """

    def __init__(self, penalty: float = 0.1, half_life: float = 730.0):
        self.penalty = penalty
        self.half_life = half_life

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> PanelForecaster:
        """Fit on the rows of all contracts of the pool; ``sample_weight`` (n_rows,) multiplies that of age.

        Raises
        ------
        ValueError
            If a variance is not positive, or X has fewer than three columns.
        """
        X, y = self._checked(X, y)
        self._fit_weighted(X, y, _weights(sample_weight, len(y)))
        return self

    def _fit_weighted(
        self, X: NDArray[np.float64], y: NDArray[np.float64], given: NDArray[np.float64]
    ) -> None:
        from sklearn.linear_model import Ridge

        if X.shape[1] < 3:
            raise ValueError(
                f"a row needs a clock, a level and regressors: 3 columns or more, given {X.shape[1]} feature(s)."
            )
        weight = given * 0.5 ** ((X[:, CLOCK].max() - X[:, CLOCK]) / self.half_life)
        weight = weight / weight.sum()
        mean = weight @ X[:, LEVEL + 1 :]
        centred = X[:, LEVEL + 1 :] - mean
        spread = np.sqrt(weight @ centred**2)
        spread[spread < 1e-9] = 1.0
        target = np.log(y) - X[:, LEVEL]
        line = Ridge(alpha=self.penalty, solver="cholesky").fit(
            centred / spread, target, sample_weight=weight
        )
        self.coef_ = np.concatenate([[0.0, 1.0], line.coef_ / spread])
        level = float(line.intercept_ - mean @ self.coef_[LEVEL + 1 :])
        self.smearing_ = float(weight @ np.exp(np.log(y) - X @ self.coef_ - level))
        self.intercept_ = level + float(np.log(self.smearing_))


def _weights(given: ArrayLike | None, n_rows: int) -> NDArray[np.float64]:
    """Weights as an array; one for every row by default."""
    if given is None:
        return np.ones(n_rows)
    weights = np.asarray(check_array(given, ensure_2d=False, dtype=np.float64, input_name="sample_weight"))
    if weights.shape != (n_rows,) or (weights < 0.0).any() or not weights.any():
        raise ValueError(
            f"sample_weight has shape {weights.shape} and values from {weights.min():g} to {weights.max():g}; give one "
            f"weight for each of the {n_rows} rows, none negative and not all zero."
        )
    return weights
