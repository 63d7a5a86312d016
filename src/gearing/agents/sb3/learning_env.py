"""The training environment: scaled rewards relative to a baseline."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gearing.envs.build import shaped_actions
from gearing.envs.sb3 import PerpetualVecEnv
from gearing.exchange.observing import ACCOUNT_COLUMNS, POSITION_COLUMNS
from gearing.simulation.observation import Observation

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

    The baseline of a step is the log growth over its bars of a reference account without costs, which follows the
    baseline policy from the beginning of the episode: it sees the market columns and its own leverage. Orders have no
    market impact and the reference account does not depend on the learning one, so the baseline is independent of the
    agent's actions: subtracting it changes no expected gradient (an input-driven baseline; Mao et al., 2019). The
    closer its leverage is to the held one, the more noise it removes.

    Attributes
    ----------
    baseline : signed target leverage (n_accounts, n_slots) of observations, or None for no baseline
    """

    def __init__(self, num_envs: int, scale: float, **settings: Any):
        super().__init__(num_envs, infos="ended", **settings)
        self.scale = scale
        self.baseline: Leverage | None = None
        self._reference_targets: np.ndarray | None = None
        simulator, layout = self.simulator, self.simulator.layout
        self._returns_ahead = _interval_returns(simulator)
        self._neutral = _neutral_columns(simulator)
        self._place = layout.locate("effective_leverage")
        self._bounds = layout.low[self._place], layout.high[self._place]
        self._shares = np.repeat(simulator.config.shares(len(simulator.contracts)), _legs(simulator))
        self.reference = np.zeros(
            (num_envs, len(simulator.slots))
        )  # effective leverage of the reference accounts
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

    def reset(self) -> np.ndarray:
        """Begin an episode in every account."""
        self.reference[:] = 0.0
        return super().reset()

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """One decision interval of every account."""
        expected = self.baseline_growth()
        observations, rewards, over, infos = super().step_wait()
        self._tally()
        self.reference[over] = 0.0
        return observations, (self.scale * (rewards - expected)).astype(np.float32), over, infos

    def gain(self, actions: np.ndarray, other: np.ndarray) -> np.ndarray | float:
        """What actions earn more than others in the next interval without costs, scaled as rewards (n_accounts,).

        0 without a baseline.
        """
        if self.baseline is None:
            return 0.0
        simulator = self.simulator
        ahead = self._returns_ahead[simulator.accounts.row]
        targets = (simulator.targets(shaped_actions(simulator, given)) for given in (actions, other))
        gained, usual = (self._growth(self._shares * np.nan_to_num(target), ahead) for target in targets)
        return self.scale * np.log(gained / usual)  # NaN, which holds, does so for both

    @staticmethod
    def _growth(leverage: np.ndarray, ahead: np.ndarray) -> np.ndarray:
        """Factor of equity (n_accounts,) at an effective leverage, without costs."""
        return np.maximum(1.0 + (leverage * ahead).sum(axis=1), _LEAST_GROWTH)

    def reference_observations(self) -> np.ndarray:
        """What the reference accounts see (n_accounts, n_columns): the market columns and their own leverage."""
        seen = self.simulator.observations.copy()
        seen[:, self._neutral[0]] = self._neutral[1]
        seen[:, self._place] = self.reference
        return seen

    def guide_references(self, actions: np.ndarray) -> None:
        """Give the actions of the reference accounts to the next step, which then does not call the baseline.

        Parameters
        ----------
        actions : (n_accounts, n_slots)
            Of the same policy, for ``reference_observations``.
        """
        self._reference_targets = signed_leverage(self.simulator, actions, self.reference_observations())

    def baseline_growth(self) -> np.ndarray | float:
        """Log growth of the reference accounts over the next interval (n_accounts,), and their leverage after it."""
        if self.baseline is None:
            return 0.0
        simulator, given = self.simulator, self._reference_targets
        self._reference_targets = None
        target = self._shares * (self.baseline(self.reference_observations()) if given is None else given)
        leverage = np.where(np.isnan(target), self.reference, target)  # NaN holds the position
        ahead = self._returns_ahead[simulator.accounts.row]
        growth = self._growth(leverage, ahead)
        self.reference = np.clip(leverage * (1.0 + ahead) / growth[:, None], *self._bounds)
        return np.log(growth)

    def state(self) -> dict[str, Any]:
        """Copies of all that a batch needs to go on in the middle of its episodes, for ``restore``."""
        return {**super().state(), "reference": self.reference.copy()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put a batch of the same size back where ``state`` was taken."""
        super().restore(state)
        self.reference = np.array(state["reference"])

    def _tally(self) -> None:
        records = (self.simulator.positions, self.simulator.accounts, self.simulator.steps)
        positions, accounts, steps = (
            record.view(np.ndarray) for record in records
        )  # fields of which are quick
        value = np.abs(positions["quantity"] * positions["mark"]).sum(axis=1)
        leverage = value / np.maximum(accounts["equity"], 1e-9)
        fees = steps["fees"] / np.maximum(steps["equity_before"], 1e-9)
        self._n_steps += self.num_envs
        for name, values in zip(
            _PER_YEAR, (steps["log_growth"], leverage, fees, steps["liquidations"]), strict=True
        ):
            self._sums[name] += float(values.sum())


def policy_leverage(simulator: Any, act: Callable[[np.ndarray], np.ndarray]) -> Leverage:
    """The target leverage of a policy's mode, as a function of raw observations.

    Parameters
    ----------
    act : normalised actions (n, n_slots) of raw observations
    """
    return lambda observations: signed_leverage(simulator, act(observations), observations)


def signed_leverage(simulator: Any, actions: np.ndarray, observations: np.ndarray) -> np.ndarray:
    """Signed target leverage (n, n_slots) of normalised actions for raw observations (n, n_columns)."""
    view = Observation(simulator.layout, observations)
    return simulator.directed(simulator.scheme.leverage(actions, view, simulator.config.direction == "free"))


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
