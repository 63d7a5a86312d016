"""Rewards: pure functions of an account's step records.

A reward object is called with the step records after each decision interval and returns one float64 per account.
Those with state per account (differential Sharpe) are reset for accounts that begin a new episode.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np

from gearing.names import Register, shown


class Reward(Protocol):
    """Reward of one step, from its records (``exchange.records.step_dtype``, shape (n_accounts,)).

    An attribute ``reads_drawdown = False`` skips the computation of the drawdown (it is then NaN);
    ``is_log_growth = True`` declares that the reward is the records' ``log_growth``, already computed elsewhere.
    """

    def reset(self, mask: np.ndarray) -> None:
        """Reset accounts where ``mask`` is True; called for all of them first."""

    def __call__(self, steps: np.recarray, drawdown: np.ndarray) -> np.ndarray:
        """Rewards (n_accounts,); ``drawdown`` is the one at the end of the step."""


REWARDS: Register[Callable[[], Reward]] = Register("reward", "gearing.rewards")
reward = REWARDS.register
"""``@reward("name")`` registers a class of rewards, called without arguments."""


def make_reward(given: Any) -> Reward:
    """A reward by name, or the given instance.

    Raises
    ------
    TypeError
        For anything else, such as a class, or a function, which has no ``reset``.
    """
    if isinstance(given, type) or not (isinstance(given, str) or _is_reward(given)):
        raise TypeError(
            f"reward is {shown(given)}; give a name ({', '.join(REWARDS.names())}), or an instance of a class with "
            "reset(mask) and __call__(steps, drawdown). A function becomes one as the __call__ of a subclass of "
            "gearing.simulation.rewards.Stateless."
        )
    if not isinstance(given, str):
        return given
    return REWARDS[given]()


def _is_reward(given: Any) -> bool:
    return callable(given) and callable(getattr(given, "reset", None))


def checked_rewards(rewards: Any, n_accounts: int) -> np.ndarray:
    """Rewards (n_accounts,) of a reward's call, float64.

    Raises
    ------
    ValueError
        If it returned another shape.
    """
    array = np.asarray(rewards, np.float64)
    if array.shape != (n_accounts,):
        raise ValueError(
            f"the reward returned shape {array.shape}; it must return one number per account: ({n_accounts},)."
        )
    return array


class Stateless:
    """A reward without state; the drawdown is computed only for those that read it."""

    reads_drawdown: ClassVar[bool] = False

    def reset(self, mask: np.ndarray) -> None:
        """No state."""


@reward("log_growth")
class LogGrowth(Stateless):
    """ln(equity at the end / equity before), after fees and funding; at ruin, the end counts as 0.001 of the start."""

    is_log_growth: ClassVar[bool] = True

    def __call__(self, steps: np.recarray, drawdown: np.ndarray) -> np.ndarray:
        return steps.view(np.ndarray)["log_growth"].copy()


@reward("mean_variance")
@dataclass
class MeanVariance(Stateless):
    """Simple return less ``aversion`` / 2 x its square: mean-variance utility step by step."""

    aversion: float = 1.0

    def __call__(self, steps: np.recarray, drawdown: np.ndarray) -> np.ndarray:
        simple = steps.equity / steps.equity_before - 1.0
        return simple - 0.5 * self.aversion * simple**2


@reward("drawdown_aware")
@dataclass
class DrawdownAware(Stateless):
    """Log growth less ``penalty`` x the drawdown at the end of the step."""

    reads_drawdown: ClassVar[bool] = True
    penalty: float = 0.01

    def __call__(self, steps: np.recarray, drawdown: np.ndarray) -> np.ndarray:
        return steps.log_growth - self.penalty * drawdown


@reward("liquidation_aware")
@dataclass
class LiquidationAware(Stateless):
    """Log growth less ``penalty`` for each liquidation in the step."""

    penalty: float = 0.1

    def __call__(self, steps: np.recarray, drawdown: np.ndarray) -> np.ndarray:
        return steps.log_growth - self.penalty * steps.liquidations


@reward("cvar_aware")
@dataclass
class CVaRAware(Stateless):
    """Log growth less ``penalty`` x the part of a loss beyond ``threshold``.

    With the threshold at a quantile of losses, the mean of that part is the difference of conditional value at risk and
    quantile (Rockafellar and Uryasev, 2000).

    Parameters
    ----------
    threshold : float
        Loss of a step, in log growth; 0.05 is about the worst twentieth of bitcoin's days at 1x.
    penalty : float
    """

    threshold: float = 0.05
    penalty: float = 1.0

    def __call__(self, steps: np.recarray, drawdown: np.ndarray) -> np.ndarray:
        return steps.log_growth - self.penalty * np.maximum(-steps.log_growth - self.threshold, 0.0)


@reward("differential_sharpe")
@dataclass
class DifferentialSharpe:
    """Differential Sharpe ratio (Moody and Saffell, 2001) of simple returns with decay ``rate``."""

    reads_drawdown: ClassVar[bool] = False

    rate: float = 0.01
    _mean: np.ndarray = field(default_factory=lambda: np.empty(0), repr=False)
    _square: np.ndarray = field(default_factory=lambda: np.empty(0), repr=False)

    def reset(self, mask: np.ndarray) -> None:
        """Reset the moments of accounts that begin an episode."""
        if self._mean.size != mask.size:
            self._mean, self._square = np.zeros(mask.size), np.zeros(mask.size)
        self._mean[mask] = 0.0
        self._square[mask] = 0.0

    def __call__(self, steps: np.recarray, drawdown: np.ndarray) -> np.ndarray:
        simple = steps.equity / steps.equity_before - 1.0
        change_mean, change_square = simple - self._mean, simple**2 - self._square
        variance = self._square - self._mean**2
        known = variance > 1e-12
        scale = np.where(known, variance, 1.0)
        value = (self._square * change_mean - 0.5 * self._mean * change_square) / (scale * np.sqrt(scale))
        self._mean += self.rate * change_mean
        self._square += self.rate * change_square
        return np.where(known, value, 0.0)


@reward("max_drawdown_aware")
@dataclass
class MaxDrawdownAware:
    """Log growth less ``penalty`` x the increase of the episode's largest drawdown.

    Over an episode it adds up to log growth less ``penalty`` x the largest drawdown at the ends of its steps, that of
    a drawdown budget.
    """

    reads_drawdown: ClassVar[bool] = True

    penalty: float = 0.5
    _largest: np.ndarray = field(default_factory=lambda: np.empty(0), repr=False)

    def reset(self, mask: np.ndarray) -> None:
        """Forget the drawdowns of accounts that begin an episode."""
        if self._largest.size != mask.size:
            self._largest = np.zeros(mask.size)
        self._largest[mask] = 0.0

    def __call__(self, steps: np.recarray, drawdown: np.ndarray) -> np.ndarray:
        largest = np.maximum(self._largest, drawdown)
        increase, self._largest = largest - self._largest, largest
        return steps.log_growth - self.penalty * increase
