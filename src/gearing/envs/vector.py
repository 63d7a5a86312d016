"""The native Gymnasium vector env: one Simulator of many accounts, no copies of envs."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from gearing.envs.build import INFO, begin_episodes, build_simulator, oracle_totals, shaped_actions, spaces_of
from gearing.features import FeatureSet, FeatureTable
from gearing.market.data import MarketData


class PerpetualVectorEnv(VectorEnv[np.ndarray, Any, np.ndarray]):
    """Many accounts in one compiled loop; made by ``gymnasium.make_vec``.

    Account i with seed s equals the scalar env with seed s + i, to the last bit. By default an account that ended is
    reset by the next step (its action is ignored, its reward 0); with ``autoreset_mode="SameStep"`` it is
    reset at once and ``info["final_obs"]`` holds its last observation. ``info`` has the scalar env's fields as arrays
    (num_envs,). ``n_threads`` > 1 steps the accounts in parallel.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(
        self,
        num_envs: int = 1,
        market: MarketData | Sequence[MarketData] | None = None,
        features: FeatureTable | FeatureSet | Sequence[str] | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        n_threads: int = 1,
        render_mode: None = None,
        oracle_growth: np.ndarray | None = None,
        **settings: Any,
    ):
        self.simulator = build_simulator(market, features, num_envs, n_threads, settings)
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        # Gymnasium declares it on the class; the mode is this environment's.
        self.metadata = {**type(self).metadata, "autoreset_mode": self.autoreset_mode}  # type: ignore[misc]
        self.single_observation_space, self.single_action_space = spaces_of(self.simulator)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._over = np.zeros(num_envs, np.bool_)
        self._oracle = oracle_totals(oracle_growth, self.simulator)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode in every account; ``options={"reset_mask": mask}`` restarts only some."""
        super().reset(seed=seed)
        simulator, mask = self.simulator, (options or {}).get("reset_mask")
        mask = None if mask is None else np.asarray(mask, np.bool_)
        begin_episodes(self, seed, mask)
        self._over[:] = False if mask is None else self._over & ~mask
        info = {"time": simulator.time.astype(np.int64), "equity": simulator.accounts.equity.copy()}
        return simulator.observations.copy(), info

    def step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Hold the targets of ``actions`` for one decision interval in every account."""
        simulator = self.simulator
        targets = simulator.targets(shaped_actions(simulator, actions))
        first = simulator.accounts.row.copy()
        begun = self._over
        if self.autoreset_mode is AutoresetMode.NEXT_STEP and self._over.any():
            rewards, terminated, truncated = self._step_and_reset(targets)
        else:
            rewards = simulator.step(targets)
            terminated, truncated = simulator.terminated, simulator.truncated
        steps = simulator.steps.view(np.ndarray).copy()
        info: dict[str, Any] = {name: steps[name] for name in INFO}
        info["time"] = simulator.time.astype(np.int64)
        if self._oracle is not None:
            # An account that was reset in this step made none.
            growth = self._oracle[simulator.accounts.row] - self._oracle[first]
            fresh = begun & (self.autoreset_mode is AutoresetMode.NEXT_STEP)
            info["oracle_growth"] = np.where(fresh, 0.0, growth)
        over = terminated | truncated
        if self.autoreset_mode is AutoresetMode.SAME_STEP and over.any():
            info["final_obs"], info["_final_obs"] = simulator.observations.copy(), over
            simulator.reset(mask=over)
        self._over = over
        return simulator.observations.copy(), rewards, terminated, truncated, info

    def _step_and_reset(self, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Step the running accounts and reset those whose episode ended with the last step."""
        simulator, begun = self.simulator, self._over
        targets[begun] = 0.0
        rewards = simulator.step(targets, active=~begun)
        terminated, truncated = simulator.terminated, simulator.truncated
        simulator.steps[begun] = np.zeros((), simulator.steps.dtype)
        rewards[begun], terminated[begun], truncated[begun] = 0.0, False, False
        simulator.reset(mask=begun)
        equity = simulator.accounts.equity[begun]
        simulator.steps.equity[begun] = simulator.steps.equity_before[begun] = equity
        return rewards, terminated, truncated

    def action_masks(self) -> np.ndarray:
        """Allowed discrete choices (num_envs, n_slots * n_choices)."""
        return self.simulator.action_masks().reshape(self.num_envs, -1)
