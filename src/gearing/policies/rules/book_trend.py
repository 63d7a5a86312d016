"""Trend of every contract as a book, with a tilt towards cheap funding."""

from dataclasses import dataclass

import numpy as np

from gearing.market.timing import parse_duration
from gearing.policies.registry import rule
from gearing.policies.rules.books import Book, relative_carry
from gearing.policies.rules.rule import Columns, check_positive, values

_FAMILY = {"sign": "momentum", "t_statistic": "scaled_momentum", "channel": "breakout"}


@rule("book_trend")
@dataclass(frozen=True)
class BookTrend(Book):
    """Positions in the direction of every contract's own trend, in inverse proportion to its volatility.

    The score is the mean over the windows of one signal: ``sign``, the sign of the return; ``t_statistic``, the return
    over its standard deviation, divided by ``full`` and clipped to [-1, 1]; ``channel``, the place of the close between
    the window's low (-1) and high (1). Negative scores are flat unless ``short`` is given. ``carry`` multiplies long
    scores by 1 + carry x c and short ones by 1 - carry x c, where c in [-1, 1] says how much cheaper than the book's
    mean the contract's funding is.

    When: as the strongest plain rule for a book of coins; it earns in long rises and is flat in long falls (Moskowitz,
    Ooi and Pedersen, 2012). Weakness: it loses in markets without direction, pays for turning, and its record on coins
    is that of a few contracts with large trends that are still listed.

    Parameters
    ----------
    signal : {"sign", "t_statistic", "channel"}
    windows : tuple of str
    full : float
        t-statistic of a full position.
    carry : float
        Tilt towards cheap funding, 0 to 1.
    funding : str
        Annualised funding that a long pays.
    carry_full : float
        Difference of annualised funding from the mean at which the tilt is full.
    target, short, largest, margin_share, max_leverage, column, volume
        As of `Book`.
    """

    signal: str = "t_statistic"
    windows: tuple[str, ...] = ("20d", "60d", "120d")
    full: float = 1.0
    carry: float = 0.0
    funding: str = "funding_carry_30d"
    carry_full: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "full", "carry_full")
        if self.signal not in _FAMILY:
            raise ValueError(f"BookTrend: signal is {self.signal!r}; it must be one of {', '.join(_FAMILY)}.")
        if isinstance(self.windows, str) or not self.windows:
            raise ValueError(f"BookTrend: windows is {self.windows!r}; give a list such as [20d, 60d].")
        object.__setattr__(self, "windows", tuple(self.windows))
        for window in self.windows:
            parse_duration(window, None)
        if not 0.0 <= self.carry <= 1.0:
            raise ValueError(f"BookTrend: carry is {self.carry}; it must be in [0, 1].")

    @property
    def score_columns(self) -> tuple[str, ...]:
        """The signal at every window, and funding where it tilts."""
        trends = tuple(f"{_FAMILY[self.signal]}_{window}" for window in self.windows)
        return trends if self.carry == 0.0 else (*trends, self.funding, "funding_known")

    def score(self, observation: Columns, held: np.ndarray) -> np.ndarray:
        """Mean signal, tilted by funding."""
        trend = self.trend(observation)
        if self.carry == 0.0:
            return trend
        cheap = relative_carry(observation, held, self.funding, self.carry_full)
        return np.clip(trend * (1.0 + self.carry * np.sign(trend) * cheap), -1.0, 1.0)

    def trend(self, observation: Columns) -> np.ndarray:
        """Mean over the windows, -1 to 1."""
        found = [values(observation, f"{_FAMILY[self.signal]}_{window}") for window in self.windows]
        if self.signal == "sign":
            found = [np.sign(x) for x in found]
        elif self.signal == "t_statistic":
            found = [np.clip(x / self.full, -1.0, 1.0) for x in found]
        else:
            found = [2.0 * x - 1.0 for x in found]
        return np.mean(found, axis=0)
