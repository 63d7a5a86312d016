"""The stable-baselines3 ``VecEnv``, with same-step reset and ``terminal_observation``."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.error import NoAsyncCallError
from stable_baselines3.common.vec_env.base_vec_env import VecEnv, VecEnvIndices

from gearing.envs.accounts import PerAccount
from gearing.envs.build import (
    INFO,
    build_simulator,
    check_options,
    check_seeds,
    require_begun,
    seed_list,
    shaped_actions,
    spaces_of,
)
from gearing.envs.perpetual import PerpetualEnv
from gearing.envs.render import Frames
from gearing.features import FeatureSet, FeatureTable
from gearing.market.data import MarketData
from gearing.simulation.state import accounts_state, copy_bytes, restore_accounts

_NAMES = (*INFO, "time", "TimeLimit.truncated")


class PerpetualVecEnv(VecEnv):
    """Many accounts as a stable-baselines3 ``VecEnv``; it behaves as ``DummyVecEnv`` of scalar envs.

    An account that ends is reset in the same step. Its ``info`` then holds ``terminal_observation`` and ``episode``
    (return and length, as a Monitor writes them), the ledger of the step and ``TimeLimit.truncated``.

    Parameters
    ----------
    seed : int, or list of int
        Account i draws its episodes from seed + i, or from the i-th of a list, until ``seed()`` chooses another.
    infos : {"all", "ended"}
        Whose info a step fills. "ended" leaves those of running accounts empty: filling a thousand takes longer than
        their step.
    render_mode : {"ansi", "rgb_array"}, optional
    """

    def __init__(
        self,
        num_envs: int = 1,
        market: MarketData | Sequence[MarketData] | None = None,
        features: FeatureTable | FeatureSet | Sequence[str] | None = None,
        n_threads: int = 1,
        seed: int | Sequence[int] = 0,
        infos: str = "all",
        render_mode: str | None = None,
        **settings: Any,
    ):
        if infos not in ("all", "ended"):
            raise ValueError(f"infos is {infos!r}; it must be 'all' or 'ended'.")
        self.simulator = build_simulator(market, features, num_envs, n_threads, settings)
        single = spaces_of(self.simulator)
        self._frames = Frames(self.simulator, render_mode)
        self._accounts = PerAccount(self, self.simulator, self._frames, single)
        super().__init__(self.simulator.n_accounts, *single)
        self.metadata = dict(PerpetualEnv.metadata)
        self._seeds = seed_list(seed, self.num_envs)
        check_seeds(self._seeds)
        self._all_infos = infos == "all"
        self._actions: Any = None
        self._returns = np.zeros(self.num_envs)
        self._lengths = np.zeros(self.num_envs, np.int64)

    def reset(self) -> np.ndarray:
        """Begin an episode in every account, with the seeds of ``seed()`` once, else the next one."""
        whole = np.ones(self.num_envs, np.bool_)
        for options in self._options if isinstance(self._options, list | tuple) else [self._options]:
            check_options(options)
        check_seeds(self._seeds)
        self._begin(whole, self._seeds)
        self._reset_seeds()
        self._reset_options()
        return self.simulator.observations.copy()

    def _begin(self, mask: np.ndarray, seeds: Any = None) -> None:
        self.simulator.reset(seeds, mask)
        self._frames.begin(mask)
        self._returns[mask], self._lengths[mask] = 0.0, 0
        times, equity = self.simulator.time.astype(np.int64), self.simulator.accounts.equity
        for i in np.flatnonzero(mask):
            self.reset_infos[i] = {"time": int(times[i]), "equity": float(equity[i])}

    def step_async(self, actions: np.ndarray) -> None:
        """Store the actions for ``step_wait``."""
        self._actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Hold the targets of the actions for one decision interval in every account."""
        simulator = self.simulator
        require_begun(simulator)
        if self._actions is None:
            raise NoAsyncCallError("step_wait() has no actions: call step_async(actions) first.", "step")
        rewards = np.asarray(simulator.step(simulator.targets(shaped_actions(simulator, self._actions))))
        self._returns += rewards
        self._lengths += 1
        if self._frames.mode is not None:
            self._frames.add(np.ones(self.num_envs, np.bool_))
        over = simulator.ended
        infos = self._infos(over)
        if over.any():
            self._begin(over)
        return simulator.observations.copy(), rewards.astype(np.float32), over, infos

    def _infos(self, over: np.ndarray) -> list[dict[str, Any]]:
        """Info of every account, or of those that ended."""
        ended = np.flatnonzero(over)
        which = np.arange(self.num_envs) if self._all_infos else ended
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if which.size == 0:
            return infos
        steps = self.simulator.steps.view(np.ndarray)[which]
        columns = [steps[name].tolist() for name in INFO]
        columns += [
            self.simulator.time[which].astype(np.int64).tolist(),
            self.simulator.truncated[which].tolist(),
        ]
        for i, row in zip(which.tolist(), zip(*columns, strict=True), strict=True):
            infos[i] = dict(zip(_NAMES, row, strict=True))
        for i in ended.tolist():
            infos[i]["terminal_observation"] = self.simulator.observations[i].copy()
            infos[i]["episode"] = {"r": float(self._returns[i]), "l": int(self._lengths[i]), "t": 0.0}
        return infos

    def state(self) -> dict[str, Any]:
        """Copies of all that a batch needs to go on in the middle of its episodes, for ``restore``."""
        return {
            "simulator": accounts_state(self.simulator), "returns": self._returns.copy(),
            "lengths": self._lengths.copy(), "seeds": list(self._seeds),
        }  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put a batch of the same size back where ``state`` was taken."""
        restore_accounts(self.simulator, state["simulator"])
        copy_bytes(state["returns"], self._returns)
        copy_bytes(state["lengths"], self._lengths)
        self._seeds = list(state["seeds"])

    def action_masks(self) -> np.ndarray:
        """Allowed discrete choices (num_envs, n_slots * n_choices)."""
        require_begun(self.simulator)
        return self.simulator.action_masks().reshape(self.num_envs, -1)

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seeds of the next ``reset``: ``seed + i`` for account i, at random without one."""
        if seed is not None:
            check_seeds(seed_list(seed, 1))
        return super().seed(seed)

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> list[Any]:
        """What ``action_masks``, ``render`` or ``spec_table`` of every requested account returns."""
        which = self._get_indices(indices)
        return self._accounts.call(method_name, which, *method_args, **method_kwargs)

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """An attribute of every requested account."""
        return self._accounts.get(attr_name, self._get_indices(indices))

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Keep an attribute of the requested accounts; what belongs to the whole batch is refused."""
        which = list(self._get_indices(indices))
        self._accounts.set(attr_name, [value] * len(which), which)

    def env_is_wrapped(self, wrapper_class: type, indices: VecEnvIndices = None) -> list[bool]:
        """False for every account: the batch wraps nothing, though it reports episodes as a ``Monitor`` does."""
        return [False for _ in self._get_indices(indices)]

    def get_images(self) -> Sequence[np.ndarray | None]:
        """An image of every account, with ``render_mode="rgb_array"``."""
        if self._frames.mode is not None:
            require_begun(self.simulator)
        return [self._frames.of(i) for i in range(self.num_envs)]

    def close(self) -> None:
        """Nothing to release."""
