"""The stable-baselines3 ``VecEnv``, with same-step reset and ``terminal_observation``."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env.base_vec_env import VecEnv, VecEnvIndices

from gearing.envs.build import INFO, build_simulator, shaped_actions, spaces_of
from gearing.features import FeatureSet, FeatureTable
from gearing.market.data import MarketData
from gearing.simulation.state import accounts_state, copy_bytes, restore_accounts


class PerpetualVecEnv(VecEnv):
    """Many accounts as a stable-baselines3 ``VecEnv``; no Python per account in a step.

    An account that ends is reset in the same step. Its ``info`` then holds ``terminal_observation``,
    ``TimeLimit.truncated``, ``episode`` (return and length, as a Monitor writes them) and the step's ledger; the infos
    of running accounts are empty.
    """

    def __init__(
        self,
        num_envs: int = 1,
        market: MarketData | Sequence[MarketData] | None = None,
        features: FeatureTable | FeatureSet | Sequence[str] | None = None,
        n_threads: int = 1,
        seed: int = 0,
        **settings: Any,
    ):
        self.simulator = build_simulator(market, features, num_envs, n_threads, settings)
        self.render_mode = None
        super().__init__(num_envs, *spaces_of(self.simulator))
        self._seed = seed
        self._fresh = True
        self._actions: np.ndarray = np.zeros(0)
        self._returns = np.zeros(num_envs)
        self._lengths = np.zeros(num_envs, np.int64)
        self._ledger = self.simulator.steps.view(np.ndarray)[list(INFO)]
        self._no_infos: list[dict[str, Any]] = [{} for _ in range(num_envs)]

    def seed(self, seed: int | None = None) -> list[int | None]:
        """Account i draws its episodes from seed + i, from the next reset on."""
        self._fresh = True
        self._seed = 0 if seed is None else seed
        return [self._seed + i for i in range(self.num_envs)]

    def reset(self) -> np.ndarray:
        """Begin an episode in every account."""
        self.simulator.reset(seed=self._seed if self._fresh else None)
        self._fresh = False
        self._returns[:], self._lengths[:] = 0.0, 0
        return self.simulator.observations.copy()

    def step_async(self, actions: np.ndarray) -> None:
        """Store the actions for ``step_wait``."""
        self._actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Hold the targets of the actions for one decision interval in every account."""
        simulator = self.simulator
        rewards = simulator.step(simulator.targets(shaped_actions(simulator, self._actions)))
        self._returns += rewards
        self._lengths += 1
        over = simulator.terminated | simulator.truncated
        infos = self._no_infos
        if over.any():
            infos = infos.copy()
            for i in np.flatnonzero(over):
                infos[i] = self._final_info(int(i))
            simulator.reset(mask=over)
            self._returns[over], self._lengths[over] = 0.0, 0
        return simulator.observations.copy(), rewards.astype(np.float32), over, infos

    def state(self) -> dict[str, Any]:
        """Copies of all that a batch needs to go on in the middle of its episodes, for ``restore``."""
        return {
            "simulator": accounts_state(self.simulator), "returns": self._returns.copy(),
            "lengths": self._lengths.copy(), "fresh": self._fresh, "seed": self._seed,
        }  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put a batch of the same size back where ``state`` was taken."""
        restore_accounts(self.simulator, state["simulator"])
        copy_bytes(state["returns"], self._returns)
        copy_bytes(state["lengths"], self._lengths)
        self._fresh, self._seed = state["fresh"], state["seed"]

    def _final_info(self, i: int) -> dict[str, Any]:
        return {
            "terminal_observation": self.simulator.observations[i].copy(),
            "TimeLimit.truncated": bool(self.simulator.truncated[i]),
            "episode": {"r": float(self._returns[i]), "l": int(self._lengths[i]), "t": 0.0},
            **dict(zip(INFO, self._ledger.item(i), strict=True)),
        }

    def action_masks(self) -> np.ndarray:
        """Allowed discrete choices (num_envs, n_slots * n_choices)."""
        return self.simulator.action_masks().reshape(self.num_envs, -1)

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Only ``action_masks`` is a method per account here."""
        if method_name != "action_masks":
            raise AttributeError(f"{type(self).__name__} is one batch; it has no env method {method_name!r}.")
        masks = self.action_masks()
        return [masks[i] for i in self._get_indices(indices)]

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """The batch's attribute, once per requested account."""
        value = getattr(self, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute of the whole batch; setting it for some accounts is refused."""
        if indices is not None:
            raise ValueError(
                f"{type(self).__name__} is one batch; set {attr_name!r} for all accounts (indices=None)."
            )
        setattr(self, attr_name, value)

    def env_is_wrapped(self, wrapper_class: type, indices: VecEnvIndices = None) -> list[bool]:
        """False for every account, except for ``Monitor``, which the batch implements."""
        from stable_baselines3.common.monitor import Monitor

        return [issubclass(wrapper_class, Monitor) for _ in self._get_indices(indices)]

    def close(self) -> None:
        """Nothing to release."""
