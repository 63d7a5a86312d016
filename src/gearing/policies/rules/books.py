"""Books: rules for one cross-margin account over many contracts, of which some may not be listed yet or any more.

A book gives every contract an exposure x_j (signed notional over equity), from the contracts that are available alone
(the column ``available`` of the features): history as long as its columns need, and still traded.
The target leverage that the exchange is given is x_j x n / margin_share for n contracts, since the margin share is
divided evenly among them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gearing.features.table import AVAILABLE
from gearing.policies.registry import rule
from gearing.policies.rules.rule import Columns, Rule, check_numbers, check_positive, values, volatility

LONG_SHORT = {"direction": "free", "margin_mode": "cross"}
LONG_FLAT = {"direction": "long", "margin_mode": "cross"}


@dataclass(frozen=True)
class Book(Rule):
    """What books share: the universe, inverse volatility, and exposures as target leverage.

    Parameters
    ----------
    target : float
        Annualised volatility of equity if every contract had the score 1 and all moved together.
    short : float
        Size of short positions relative to long ones: 0 is long/flat, 1 long/short.
    largest : int, optional
        Only so many available contracts, those of the largest trailing volume: a universe that rotates.
    margin_share : float
        The simulation's, in all.
    max_leverage : float
        Largest target leverage of a contract; its exposure is at most max_leverage x margin_share / n.
    column : str
        Annualised volatility: realised, forecast or implied.
    volume : str
        Trailing volume that ``largest`` goes by.
    """

    target: float = 0.3
    short: float = 0.0
    largest: int | None = None
    margin_share: float = 1.0
    max_leverage: float = 20.0
    column: str = "realized_volatility_30d"
    volume: str = "log_quote_volume_30d"

    def __post_init__(self) -> None:
        check_numbers(self)
        check_positive(self, "target", "margin_share", "max_leverage")
        if not 0.0 <= self.short <= 1.0:
            raise ValueError(f"{type(self).__name__}: short is {self.short}; it must be in [0, 1].")
        if self.largest is not None and self.largest < 1:
            raise ValueError(f"{type(self).__name__}: largest is {self.largest}; it must be 1 or more.")

    @property
    def settings(self) -> dict[str, Any]:
        """Cross margin; a book with shorts chooses the side."""
        return dict(LONG_SHORT if self.short > 0.0 else LONG_FLAT)

    @property
    def required_columns(self) -> tuple[str, ...]:
        """Availability, volatility, volume where it chooses the universe, and what the score reads."""
        ranking = () if self.largest is None else (self.volume,)
        return tuple(dict.fromkeys((AVAILABLE, self.column, *ranking, *self.score_columns)))

    @property
    def score_columns(self) -> tuple[str, ...]:
        """Columns that ``score`` reads."""
        return ()

    def score(self, observation: Columns, held: np.ndarray) -> np.ndarray:
        """Size of every position relative to the target, -1 to 1 (n_accounts, n_contracts).

        ``held`` marks the contracts of the universe; scores of others are not used.
        """
        raise NotImplementedError

    def choose(self, observation: Columns) -> np.ndarray:
        """Score x target / volatility, divided by the number of contracts in the universe."""
        held = universe(observation, self.largest, self.volume)
        score = np.where(held, self.score(observation, held), 0.0)
        score = np.where(score < 0.0, self.short * score, score)
        exposure = score * self.target / volatility(observation, self.column) / members(held)
        return as_targets(exposure, self.margin_share, self.max_leverage)


def universe(observation: Columns, largest: int | None, volume: str) -> np.ndarray:
    """Which contracts a book may hold, bool (n_accounts, n_contracts): the available ones, or the largest of them."""
    held: np.ndarray = observation[AVAILABLE] > 0.5
    if largest is None:
        return held
    size = np.where(held, values(observation, volume), -np.inf)
    rank = np.argsort(np.argsort(-size, axis=1, kind="stable"), axis=1)
    return held & (rank < largest)


def members(held: np.ndarray) -> np.ndarray:
    """Number of contracts of the universe, at least 1 (n_accounts, 1)."""
    return np.maximum(held.sum(axis=1, keepdims=True), 1)


def as_targets(exposure: np.ndarray, margin_share: float, max_leverage: float) -> np.ndarray:
    """Exposures (notional over equity) as target leverages of evenly divided margin, bounded."""
    leverage = exposure * (exposure.shape[1] / margin_share)
    return np.clip(leverage, -max_leverage, max_leverage)


def mean_of(observation_values: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Mean over the universe (n_accounts, 1)."""
    return np.where(held, observation_values, 0.0).sum(axis=1, keepdims=True) / members(held)


@rule("book_inverse_volatility")
@dataclass(frozen=True)
class BookInverseVolatility(Book):
    """Every contract of the universe long, in inverse proportion to its volatility.

    x_j = target / (volatility_j x N). With one correlation for all pairs these are equal risk contributions (risk
    parity). When: as the book without a view, against which signals are measured. Weakness: it is long through every
    fall, and correlations of coins go to one then. Parameters as of `Book`.
    """

    def score(self, observation: Columns, held: np.ndarray) -> np.ndarray:
        """All alike."""
        return np.ones(held.shape)


@rule("book_equal")
@dataclass(frozen=True)
class BookEqual(Book):
    """Every contract of the universe long with the same exposure.

    x_j = target / (mean volatility x N). When: as the simplest index of coins. Weakness: the wildest contracts carry
    most of the risk. Parameters as of `Book`.
    """

    def score(self, observation: Columns, held: np.ndarray) -> np.ndarray:
        """Volatility over its mean, so that the exposures are alike."""
        sigma = volatility(observation, self.column)
        return sigma / np.maximum(mean_of(sigma, held), 1e-6)


@rule("book_carry")
@dataclass(frozen=True)
class BookCarry(Book):
    """Long the contracts whose funding is below the book's mean, and short those above it.

    score_j = clip((mean funding - funding_j) / ``full``, -1, 1). When: for an income that does not depend on the
    market's direction (with ``short: 1``). Weakness: contracts pay because somebody wants them; crowded shorts and new
    listings move against it. A contract without known funding has the score 0.

    Parameters
    ----------
    full : float
        Difference of annualised funding at which a position is full.
    funding : str
        Annualised funding that a long pays.
    target, short, largest, margin_share, max_leverage, column, volume
        As of `Book`.
    """

    short: float = 1.0
    full: float = 0.2
    funding: str = "funding_carry_30d"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "full")

    @property
    def score_columns(self) -> tuple[str, ...]:
        """Funding, and where it is known."""
        return (self.funding, "funding_known")

    def score(self, observation: Columns, held: np.ndarray) -> np.ndarray:
        """Cheap funding is positive."""
        return relative_carry(observation, held, self.funding, self.full)


def relative_carry(observation: Columns, held: np.ndarray, funding: str, full: float) -> np.ndarray:
    """How much cheaper than the universe's mean a long is, -1 to 1; 0 where funding is not known."""
    known = held & (observation["funding_known"] > 0.5)
    paid = values(observation, funding)
    return np.where(known, np.clip((mean_of(paid, known) - paid) / full, -1.0, 1.0), 0.0)
