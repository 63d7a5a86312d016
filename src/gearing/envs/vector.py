"""The native Gymnasium vector env: one Simulator of many accounts, no copies of envs."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from gearing.envs.accounts import PerAccount
from gearing.envs.build import (
    INFO,
    account_seeds,
    batch_info,
    build_simulator,
    check_options,
    oracle_totals,
    require_begun,
    require_running,
    shaped_actions,
    spaces_of,
)
from gearing.envs.render import RENDER_MODES, Frames
from gearing.features import FeatureSet, FeatureTable
from gearing.market.data import MarketData
from gearing.names import shown


class PerpetualVectorEnv(VectorEnv[np.ndarray, Any, np.ndarray]):
    """Many accounts in one compiled loop; made by ``gymnasium.make_vec``.

    It behaves as Gymnasium's ``SyncVectorEnv`` of scalar envs, to the last bit: account i with seed s is the scalar env
    with seed s + i, or with the i-th of a list of seeds.

    autoreset_mode
        "NextStep" (default): an account that ended is reset by the next step (its action is ignored, its reward 0).
        "SameStep": it is reset at once; ``info["final_obs"]`` and ``info["final_info"]`` hold its last observation and
        the ledger of the step that ended, ``info`` itself the reset. "Disabled": a step raises until
        ``reset(options={"reset_mask": mask})`` has reset it.
    info
        The scalar env's fields as arrays (num_envs,), each with the mask of the accounts that have it under the name
        with a leading "_".
    copy
        Whether observations are fresh arrays; if not, every step writes into the same one.
    n_threads
        More than 1 step the accounts in parallel.
    """

    metadata: ClassVar[dict[str, Any]] = {
        "render_modes": RENDER_MODES,
        "render_fps": 4,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        num_envs: int = 1,
        market: MarketData | Sequence[MarketData] | None = None,
        features: FeatureTable | FeatureSet | Sequence[str] | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        n_threads: int = 1,
        render_mode: str | None = None,
        oracle_growth: np.ndarray | None = None,
        copy: bool = True,
        **settings: Any,
    ):
        if not isinstance(copy, bool | np.bool_):
            raise TypeError(f"copy is {shown(copy)}; it must be True or False.")
        self.autoreset_mode = _mode(autoreset_mode)
        self.simulator = build_simulator(market, features, num_envs, n_threads, settings)
        self.num_envs = self.simulator.n_accounts
        self.render_mode, self.copy = render_mode, copy
        # Gymnasium declares it on the class; the mode is this environment's.
        self.metadata = {**type(self).metadata, "autoreset_mode": self.autoreset_mode}  # type: ignore[misc]
        self.single_observation_space, self.single_action_space = spaces_of(self.simulator)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._over = np.zeros(self.num_envs, np.bool_)
        self._oracle = oracle_totals(oracle_growth, self.simulator)
        self._shown = np.zeros_like(self.simulator.observations)
        self._frames = Frames(self.simulator, render_mode)
        single = self.single_observation_space, self.single_action_space
        self._accounts = PerAccount(self, self.simulator, self._frames, single)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode in every account; ``options={"reset_mask": mask}`` restarts only some.

        Parameters
        ----------
        seed : int, or list of int and None, optional
            Account i begins episode 0 of seed + i, or of the i-th of a list; None goes on to its next episode.
        """
        mask = self._reset_mask(options)
        seeds = account_seeds(self, seed, mask)
        self._begin(mask, seeds)
        self._over &= ~mask
        return self._observations(), batch_info(self._place(), mask)

    def step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Hold the targets of ``actions`` for one decision interval in every account."""
        require_begun(self.simulator)
        if self.autoreset_mode is not AutoresetMode.NEXT_STEP:
            require_running(self._over)
        begun, running = self._over, ~self._over
        rewards, stepped = self._advance(actions, running)
        terminated, truncated = self.simulator.terminated & running, self.simulator.truncated & running
        over = terminated | truncated
        final: dict[str, Any] = {}
        if begun.any():
            self._begin(begun)
        elif self.autoreset_mode is AutoresetMode.SAME_STEP and over.any():
            final = self._final(stepped, over)
            begun, running = over, ~over
            self._begin(over)
            over = np.zeros_like(over)
        self._over = over
        return (
            self._observations(),
            rewards,
            terminated,
            truncated,
            self._info(stepped, running, begun) | final,
        )

    def _advance(self, actions: Any, running: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Step the running accounts; their rewards and the fields of their ledgers."""
        simulator, whole = self.simulator, running.all()
        targets = simulator.targets(shaped_actions(simulator, actions, running))
        first = simulator.accounts.row.copy() if self._oracle is not None else None
        rewards = np.asarray(simulator.step(targets, active=None if whole else running), np.float64)
        if not whole:
            rewards[~running] = 0.0
        if self.render_mode is not None:
            self._frames.add(running)
        steps = simulator.steps.view(np.ndarray).copy()
        stepped = {name: steps[name] for name in INFO}
        stepped["time"] = simulator.time.astype(np.int64)
        if self._oracle is not None:
            stepped["oracle_growth"] = self._oracle[simulator.accounts.row] - self._oracle[first]
        return rewards, stepped

    def _begin(self, mask: np.ndarray, seeds: Any = None) -> None:
        """Begin episodes of the accounts in ``mask``."""
        self.simulator.reset(seeds, mask)
        if self.render_mode is not None:
            self._frames.begin(mask)

    def _place(self) -> dict[str, np.ndarray]:
        """The info of a reset."""
        return {
            "time": self.simulator.time.astype(np.int64), "equity": self.simulator.accounts.equity.copy(),
        }  # fmt: skip

    def _info(self, stepped: dict[str, np.ndarray], running: np.ndarray, begun: np.ndarray) -> dict[str, Any]:
        """Info of the accounts that stepped, and of those that began an episode."""
        info = batch_info(stepped, running)
        if begun.any():
            for name, array in self._place().items():
                known = info.get(name, np.zeros_like(array))
                info[name], info[f"_{name}"] = np.where(begun, array, known), running | begun
        return info

    def _final(self, stepped: dict[str, np.ndarray], over: np.ndarray) -> dict[str, Any]:
        """Last observations and ledgers of the accounts that are reset in the step that ended them."""
        last = np.full(self.num_envs, None, object)
        for i in np.flatnonzero(over):
            last[i] = self.simulator.observations[i].copy()
        return {
            "final_obs": last, "_final_obs": over.copy(), "final_info": batch_info(stepped, over),
            "_final_info": over.copy(),
        }  # fmt: skip

    def _reset_mask(self, options: dict[str, Any] | None) -> np.ndarray:
        """Which accounts a reset begins; refuses what Gymnasium's ``SyncVectorEnv`` refuses."""
        check_options(options, ("reset_mask",))
        if not options:
            return np.ones(self.num_envs, np.bool_)
        mask = options["reset_mask"]
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
            raise TypeError(f"options['reset_mask'] is {shown(mask)}; it must be a numpy array of bool.")
        if mask.shape != (self.num_envs,):
            raise ValueError(f"options['reset_mask'] has shape {mask.shape}; it must be ({self.num_envs},).")
        if not mask.any():
            raise ValueError("options['reset_mask'] names no account; set at least one to True.")
        if not (mask | (self.simulator.accounts.start_equity > 0.0)).all():
            raise ResetNeeded(
                "an account outside options['reset_mask'] was never reset; reset all of them first."
            )
        return mask.copy()

    def _observations(self) -> np.ndarray:
        if self.copy:
            return self.simulator.observations.copy()
        self._shown[...] = self.simulator.observations
        return self._shown

    def action_masks(self) -> np.ndarray:
        """Allowed discrete choices (num_envs, n_slots * n_choices)."""
        require_begun(self.simulator)
        return self.simulator.action_masks().reshape(self.num_envs, -1)

    def spec_table(self) -> Any:
        """The observation columns of an account with bounds and units (pandas)."""
        return self.simulator.layout.table()

    def render(self) -> tuple[Any, ...]:
        """A frame of every account, see `PerpetualEnv.render`."""
        if self.render_mode is not None:
            require_begun(self.simulator)
        return tuple(self._frames.of(i) for i in range(self.num_envs))

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """What a method (``action_masks``, ``render``, ``spec_table``) or attribute of every account returns."""
        return tuple(self._accounts.call(name, range(self.num_envs), *args, **kwargs))

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """An attribute of every account."""
        return self.call(name)

    def set_attr(self, name: str, values: Any) -> None:
        """Keep an attribute for every account: one value for all, or a list with one for each."""
        given = values if isinstance(values, list | tuple) else [values] * self.num_envs
        if len(given) != self.num_envs:
            raise ValueError(f"{len(given)} values for {self.num_envs} accounts; give one for each.")
        self._accounts.set(name, given, range(self.num_envs))


def _mode(given: AutoresetMode | str) -> AutoresetMode:
    """An autoreset mode by its value."""
    try:
        return AutoresetMode(given)
    except ValueError:
        known = ", ".join(repr(mode.value) for mode in AutoresetMode)
        raise ValueError(f"autoreset_mode is {given!r}; it must be one of {known}.") from None
