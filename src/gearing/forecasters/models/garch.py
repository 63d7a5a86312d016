"""GARCH of daily returns, estimated by the arch package."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gearing.forecasters.models.base import VarianceForecaster
from gearing.forecasters.models.onnx_graph import PERCENT, garch_graph


class GarchVariance(VarianceForecaster):
    """GARCH(1,1) or GJR-GARCH(1,1,1) with Student errors (Bollerslev, 1987; Glosten et al., 1993).

    A row of X: a clock (``days_since_2000``), the returns of the last 24 hours and of the 29 days before,
    newest first, and ``log_variance_30d``. Parameters are estimated on the newest return of all rows, put in
    order by the clock; a row's state starts from its own 30-day variance and runs through its own returns.

    Parameters
    ----------
    asymmetric : bool, default=False
        True adds the leverage term of GJR.

    Attributes
    ----------
    omega_, alpha_, gamma_, beta_ : float
        Of returns in percent.
    scale_ : float
        Mean of realised over conditional variance in training.
    """

    def __init__(self, asymmetric: bool = False):
        self.asymmetric = asymmetric

    def _fit(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        if X.shape[1] < 3:
            raise ValueError(
                "a row needs a clock, returns and a log variance: 3 columns or more, "
                f"given {X.shape[1]} feature(s)."
            )
        self._estimate(PERCENT * X[np.argsort(X[:, 0], kind="stable"), 1])
        self.scale_ = 1.0
        self.scale_ = float(np.mean(y / np.exp(self._log_variance(X))))

    def _estimate(self, returns: NDArray[np.float64]) -> None:
        from arch import arch_model

        model = arch_model(
            returns, mean="Zero", vol="GARCH", p=1, o=int(self.asymmetric), q=1, dist="t", rescale=False
        )
        found = model.fit(disp="off", show_warning=False).params
        self.omega_, self.beta_ = float(found["omega"]), float(found["beta[1]"])
        self.alpha_, self.gamma_ = float(found["alpha[1]"]), float(found.get("gamma[1]", 0.0))

    def _log_variance(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        variance = PERCENT**2 * np.exp(np.clip(X[:, -1], -30.0, 30.0))
        for shock in (PERCENT * X[:, 1:-1].T)[::-1]:  # oldest first
            impact = self.alpha_ + self.gamma_ * (shock < 0.0)
            variance = self.omega_ + impact * shock**2 + self.beta_ * variance
        return np.log(np.maximum(variance, 1e-12) / PERCENT**2) + np.log(self.scale_)

    def to_onnx(self) -> Any:
        """ONNX model of ``predict``."""
        return garch_graph(
            self.n_features_in_, self.omega_, self.alpha_, self.gamma_, self.beta_, self.scale_
        )
