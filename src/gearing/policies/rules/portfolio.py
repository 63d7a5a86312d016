"""Leverage of several contracts for a target volatility of the account.

Equity is divided evenly, like ``margin_share`` given as one number: contract j holds L_j x w / n of equity. All
pairs are assumed to have the same correlation, the mean measured one, and all positions the same side, which is
cautious where longs and shorts hedge each other.
"""

from dataclasses import dataclass

import numpy as np

from gearing.policies.registry import rule
from gearing.policies.rules.rule import Columns, Rule, check_numbers, check_positive, values, volatility

CORRELATION = "mean_correlation_30d"


def portfolio_volatility(exposure: np.ndarray, sigma: np.ndarray, correlation: np.ndarray) -> np.ndarray:
    """Volatility of equity (n_accounts, 1) of exposures (notional over equity) with one correlation for all pairs.

    variance = (1 - rho) x sum of (x_j s_j)^2 + rho x (sum of x_j s_j)^2
    """
    risk = exposure * sigma
    own, joint = (risk**2).sum(axis=1, keepdims=True), risk.sum(axis=1, keepdims=True) ** 2
    return np.sqrt(np.maximum((1.0 - correlation) * own + correlation * joint, 0.0))


@dataclass(frozen=True)
class _Portfolio(Rule):
    """Parameters that portfolio rules share."""

    target: float = 0.6
    margin_share: float = 1.0
    correlation: float | None = None
    max_leverage: float = 10.0
    column: str = "realized_volatility_7d"

    def __post_init__(self) -> None:
        check_numbers(self)
        check_positive(self, "target", "margin_share", "max_leverage")
        if self.correlation is not None and not -1.0 <= self.correlation <= 1.0:
            raise ValueError(
                f"{type(self).__name__}: correlation is {self.correlation}; it must be in [-1, 1]."
            )

    @property
    def required_columns(self) -> tuple[str, ...]:
        """Volatility, and the correlation unless it is given."""
        return (self.column,) if self.correlation is not None else (self.column, CORRELATION)

    def choose(self, observation: Columns) -> np.ndarray:
        """The shape of the portfolio, scaled to the target."""
        sigma = volatility(observation, self.column)
        shape = self.shape(sigma)
        if self.correlation is None:
            correlation = values(observation, CORRELATION).mean(axis=1, keepdims=True)
        else:
            correlation = np.full((len(sigma), 1), self.correlation)
        exposure = shape * self.margin_share / sigma.shape[1]
        whole = portfolio_volatility(exposure, sigma, correlation)
        return np.minimum(shape * self.target / np.maximum(whole, 1e-9), self.max_leverage)

    def shape(self, sigma: np.ndarray) -> np.ndarray:
        """Leverage of the contracts relative to each other (n_accounts, n_contracts)."""
        raise NotImplementedError


@rule("risk_parity")
@dataclass(frozen=True)
class RiskParity(_Portfolio):
    """Every contract contributes the same risk, and together they have the target volatility.

    L_j = c / sigma_j; with one correlation for all pairs, equal x_j sigma_j are equal risk contributions exactly
    (Maillard, Roncalli and Teiletche, 2010). When: several contracts of very different volatility. Weakness:
    correlations of coins jump towards one just when it matters, and the portfolio is then riskier than its target.

    Parameters
    ----------
    target : float
        Annualised volatility of the account's equity.
    margin_share : float
        The simulation's, in all.
    correlation : float, optional
        Taken as known; None reads the mean measured one.
    max_leverage : float
        Per contract.
    column : str
        Annualised volatility: realised, forecast or implied.
    """

    def shape(self, sigma: np.ndarray) -> np.ndarray:
        """Inverse volatility."""
        return 1.0 / sigma


@rule("portfolio_volatility_target")
@dataclass(frozen=True)
class PortfolioVolatilityTarget(_Portfolio):
    """The same leverage for every contract, scaled so that together they have the target volatility.

    L = target / volatility of the evenly divided portfolio. When: diversification is to be turned into leverage,
    not into a tilt towards quiet contracts. Weakness: the wildest contract carries most of the risk. Parameters as of
    `RiskParity`.
    """

    def shape(self, sigma: np.ndarray) -> np.ndarray:
        """All alike."""
        return np.ones_like(sigma)
