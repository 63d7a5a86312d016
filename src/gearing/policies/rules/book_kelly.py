"""Growth-optimal books with doubtful drifts and a limited risk of loss."""

import math
from dataclasses import dataclass

import numpy as np

from gearing.market.timing import YEAR, parse_duration
from gearing.policies.registry import rule
from gearing.policies.rules.books import Book, as_targets, mean_of, members, universe
from gearing.policies.rules.portfolio import CORRELATION
from gearing.policies.rules.rule import (
    Columns,
    check_fraction,
    check_not_negative,
    check_positive,
    values,
    volatility,
)


@rule("book_kelly")
@dataclass(frozen=True)
class BookKelly(Book):
    """A fraction of the growth-optimal book, with drifts shrunk to the cross-section and made robust.

    Drifts are what the window of ``drift`` earned a year less funding. Each is drawn towards the universe's mean as far
    as the window is uninformative (variance volatility^2 / T against ``prior_spread``^2; Baker and McHale, 2013), then
    drawn towards zero by ``robust`` standard errors: the worst case of a box around the estimate. All pairs have one
    correlation, for which the long-only optimum is known (Elton, Gruber and Padberg, 1976). The fraction keeps the
    probability of ever falling below ``wealth`` of the start under ``probability``: 2 / (1 + log probability / log
    wealth), at most 1 (Busseti, Ryu and Boyd, 2016, to second order).

    When: as the benchmark of theory for a book. Weakness: it bets on drifts that no window measures; it follows the
    last winners with more than a trend rule's size. ``target`` is not used.

    Parameters
    ----------
    wealth, probability : float
    robust : float
        Standard errors that a drift must exceed to be traded.
    prior_spread : float
        Standard deviation of yearly drifts between contracts.
    drift, funding : str
        Columns of the log return over a window that its name ends with, and of annualised funding.
    correlation : str
        Column of the mean correlation with the others.
    target, short, largest, margin_share, max_leverage, column, volume
        As of `Book`; ``short`` is 0 (long/flat) or 1.
    """

    wealth: float = 0.7
    probability: float = 0.1
    robust: float = 0.5
    prior_spread: float = 0.6
    drift: str = "momentum_120d"
    funding: str = "funding_carry_30d"
    correlation: str = CORRELATION

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fraction(self, "wealth", "probability")
        check_positive(self, "prior_spread")
        check_not_negative(self, "robust")
        if self.short not in (0.0, 1.0):
            raise ValueError(f"BookKelly: short is {self.short}; it must be 0 (long/flat) or 1 (long/short).")

    @property
    def score_columns(self) -> tuple[str, ...]:
        """Drift, funding and correlation."""
        return (self.drift, self.funding, self.correlation)

    @property
    def fraction(self) -> float:
        """Part of full Kelly that the risk of loss allows."""
        return min(1.0, 2.0 / (1.0 + math.log(self.probability) / math.log(self.wealth)))

    def choose(self, observation: Columns) -> np.ndarray:
        """The optimum of the robust drifts, times the fraction."""
        held = universe(observation, self.largest, self.volume)
        sigma = volatility(observation, self.column)
        sharpe = np.where(held, self.robust_drift(observation, held, sigma) / sigma, 0.0)
        rho = np.clip(mean_of(values(observation, self.correlation), held), 0.0, 0.95)
        best = long_short_optimum if self.short else long_only_optimum
        exposure = np.where(held, best(sharpe, rho, held) / sigma, 0.0)
        return as_targets(self.fraction * exposure, self.margin_share, self.max_leverage)

    def robust_drift(self, observation: Columns, held: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        """Drift of the price a year less funding, shrunk and robust (n_accounts, n_contracts)."""
        years = float(parse_duration(self.drift.rpartition("_")[2], None) / YEAR)
        measured = (
            values(observation, self.drift) / years + 0.5 * sigma**2 - values(observation, self.funding)
        )
        middle = mean_of(measured, held)
        trust = self.prior_spread**2 / (self.prior_spread**2 + sigma**2 / years)
        shrunk = middle + trust * (measured - middle)
        doubt = self.robust * np.sqrt(trust / years) * sigma
        return np.sign(shrunk) * np.maximum(np.abs(shrunk) - doubt, 0.0)


def long_short_optimum(sharpe: np.ndarray, rho: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Risk x_j sigma_j of each contract in the optimum of x'mu - x'Sx / 2 with one correlation for all pairs.

    The inverse of a matrix of ones on the diagonal and rho elsewhere is (I - rho / (1 + (n - 1) rho)) / (1 - rho).
    """
    count = held.sum(axis=1, keepdims=True)
    total = np.where(held, sharpe, 0.0).sum(axis=1, keepdims=True)
    risk = (sharpe - rho / (1.0 + (members(held) - 1.0) * rho) * total) / (1.0 - rho)
    return np.where(held & (count > 0), risk, 0.0)


def long_only_optimum(sharpe: np.ndarray, rho: np.ndarray, held: np.ndarray) -> np.ndarray:
    """The same without short positions: only the contracts whose Sharpe ratio exceeds the cut-off.

    With contracts in descending order, the first k are held if the k-th exceeds rho / (1 + (k - 1) rho) times the sum
    of the first k.
    """
    ranked = -np.sort(-np.where(held, sharpe, -np.inf), axis=1)
    number = np.arange(1, sharpe.shape[1] + 1)
    with np.errstate(invalid="ignore"):
        cut = rho / (1.0 + (number - 1.0) * rho) * np.cumsum(ranked, axis=1)
        inside = (ranked > cut) & (ranked > 0.0)
    last = inside.sum(axis=1, keepdims=True) - 1
    level = np.where(
        last >= 0, np.take_along_axis(np.where(inside, cut, 0.0), np.maximum(last, 0), axis=1), np.inf
    )
    return np.where(held, np.maximum(sharpe - level, 0.0), 0.0) / (1.0 - rho)
