"""The training environment: scaled rewards relative to a baseline."""

from collections.abc import Callable
from typing import Any

import numpy as np

from gearing.envs.sb3 import PerpetualVecEnv
from gearing.exchange.observing import ACCOUNT_COLUMNS, POSITION_COLUMNS
from gearing.simulation.observation import Observation

_SETTLING = 4  # steps until a leverage approached step by step is nearly reached
_LEAST_GROWTH = 0.05  # least equity of the baseline, so that its logarithm is finite
# Averages of the accounts' behaviour, and whether they are rates a year.
_PER_YEAR = {
    "train/log_growth_per_year": True,
    "train/effective_leverage": False,
    "train/fees_per_year": True,
    "train/liquidations_per_year": True,
}

Leverage = Callable[[np.ndarray], np.ndarray]


class LearningVecEnv(PerpetualVecEnv):
    """`PerpetualVecEnv` whose reward is ``scale * (reward - baseline)``.

    The baseline of a step is the frictionless log growth over its bars of a leverage chosen from the market columns
    alone: the one at which an account that begins flat would settle under constant columns. Orders have no market
    impact and the choice does not depend on the account, so the baseline is independent of the agent's actions:
    subtracting it changes no expected gradient. The closer it is to the held leverages, the more noise it removes.
    """

    def __init__(self, num_envs: int, scale: float, **settings: Any):
        super().__init__(num_envs, infos="ended", **settings)
        self.scale = scale
        # Signed leverage (n_accounts, n_slots) of observations whose account columns are neutral.
        self.baseline: Leverage | None = None
        self._returns_ahead = _interval_returns(self.simulator)
        self._neutral = _neutral_columns(self.simulator)
        self.reset_averages()

    def reset_averages(self) -> None:
        """Start new averages of the accounts' behaviour."""
        self._n_steps, self._sums = 0, dict.fromkeys(_PER_YEAR, 0.0)

    def averages(self, per_year: float) -> dict[str, float]:
        """Averages since ``reset_averages``; ``per_year`` decisions make a year."""
        steps = max(self._n_steps, 1)
        return {
            name: total / steps * (per_year if _PER_YEAR[name] else 1.0) for name, total in self._sums.items()
        }

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """One decision interval of every account."""
        expected = self.baseline_growth() if self.baseline is not None else 0.0
        observations, rewards, over, infos = super().step_wait()
        self._tally()
        return observations, (self.scale * (rewards - expected)).astype(np.float32), over, infos

    def baseline_growth(self) -> np.ndarray:
        """Log growth of the next interval at the leverage where the baseline would settle now, (n_accounts,)."""
        simulator = self.simulator
        neutral = simulator.observations.copy()
        neutral[:, self._neutral[0]] = self._neutral[1]
        shares = np.repeat(simulator.config.shares(len(simulator.contracts)), _legs(simulator))
        for _ in range(_SETTLING):
            effective = shares * self.baseline(neutral)  # type: ignore[misc]  # not None here
            neutral[:, simulator.layout.locate("effective_leverage")] = effective
        ahead = self._returns_ahead[simulator.accounts.row]
        return np.log(np.maximum(1.0 + (effective * ahead).sum(axis=1), _LEAST_GROWTH))

    def _tally(self) -> None:
        positions, accounts, steps = self.simulator.positions, self.simulator.accounts, self.simulator.steps
        value = np.abs(positions.quantity * positions.mark).sum(axis=1)
        leverage = value / np.maximum(accounts.equity, 1e-9)
        fees = steps.fees / np.maximum(steps.equity_before, 1e-9)
        self._n_steps += self.num_envs
        for name, values in zip(
            _PER_YEAR, (steps.log_growth, leverage, fees, steps.liquidations), strict=True
        ):
            self._sums[name] += float(values.sum())


def policy_leverage(simulator: Any, act: Callable[[np.ndarray], np.ndarray]) -> Leverage:
    """The target leverage of a policy's mode, as a function of raw observations.

    Parameters
    ----------
    act : normalised actions (n, n_slots) of raw observations
    """

    def leverage(observations: np.ndarray) -> np.ndarray:
        view = Observation(simulator.layout, observations)
        magnitude = simulator.scheme.leverage(act(observations), view, simulator.config.direction == "free")
        return simulator.directed(magnitude)

    return leverage


def _legs(simulator: Any) -> int:
    return len(simulator.slots) // len(simulator.contracts)


def _interval_returns(simulator: Any) -> np.ndarray:
    """Simple return of the mark over the decision interval that begins at each row (n_rows, n_slots)."""
    rows = simulator.tape.rows
    start = np.flatnonzero(rows.next_row[:, 0] >= 0)
    end = rows.next_row[start, 0]
    returns = np.zeros(rows.shape)
    returns[start] = rows.mark_close[end - 1] / rows.mark_close[start - 1] - 1.0
    return np.repeat(returns, _legs(simulator), axis=1)


def _neutral_columns(simulator: Any) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the account columns in an observation, and their values for a flat account."""
    slots = len(simulator.slots)
    # effective leverage, margin ratio, distance to liquidation (1 = none), unrealised share; drawdown, free share
    values = np.array([0.0, 0.0, 1.0, 0.0] * slots + [0.0, 1.0], np.float32)
    count = len(POSITION_COLUMNS) * slots + len(ACCOUNT_COLUMNS)
    return np.arange(simulator.layout.size - count, simulator.layout.size), values
