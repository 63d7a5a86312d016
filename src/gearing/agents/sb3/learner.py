"""Agents of stable-baselines3 and sb3-contrib, driven one update at a time."""

import json
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from copy import deepcopy
from operator import attrgetter
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.logger import Logger

from gearing.agents.checkpoints import as_arrays, as_tensors
from gearing.agents.costs import CostSchedule, SimulatorCosts
from gearing.agents.devices import device_of
from gearing.agents.learner import TrainingDiverged, check_numbers, check_weights
from gearing.agents.policy.algorithms import ALGORITHMS, check_action_kind
from gearing.agents.policy.band_actor import band_arguments
from gearing.agents.policy.description import PolicyDescription
from gearing.agents.policy.learned import LearnedPolicy, describe_scheme
from gearing.agents.policy.networks import ModeOfPolicy, policy_arguments, policy_class
from gearing.agents.policy.scaling import fit_scaling
from gearing.agents.sb3.learning_env import LearningVecEnv, policy_leverage
from gearing.agents.sb3.messages import in_one_line
from gearing.agents.sb3.rollouts import as_numbers, collect_rollout, unchecked_distributions
from gearing.agents.settings import AgentSettings
from gearing.features import FeatureTable
from gearing.market.data import MarketData
from gearing.market.timing import YEAR
from gearing.simulation.actions import LeverageScheme
from gearing.simulation.config import SimulationConfig

_COUNTERS = (
    "num_timesteps", "_n_updates", "_episode_num", "_current_progress_remaining", "_n_calls", "exploration_rate",
)  # fmt: skip
_BUFFER = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


class SB3Learner:
    """A stable-baselines3 algorithm on the native batch env.

    Parameters
    ----------
    markets, tables : of the training span
    config : with the episodes that training uses
    total_decisions : length of the algorithm's schedules
    provenance : written into the policy's description
    """

    within_budget = True  # these agents have no budget; use risk controls

    def __init__(
        self,
        settings: AgentSettings,
        markets: Sequence[MarketData],
        tables: Sequence[FeatureTable],
        config: SimulationConfig,
        seed: int,
        total_decisions: int,
        provenance: Mapping[str, Any],
    ):
        self.algorithm = ALGORITHMS[settings.algorithm]
        self.settings, self.total = settings, total_decisions
        self.env = LearningVecEnv(
            settings.n_accounts, settings.reward_scale, market=list(markets), features=list(tables),
            **vars(config),
        )  # fmt: skip
        simulator = self.env.simulator
        check_action_kind(settings.algorithm, simulator.scheme.n_choices)
        share = max(config.shares(len(simulator.contracts)))
        scaling = fit_scaling(
            simulator.layout,
            tables,
            settings.scaling,
            settings.clip,
            settings.columns,
            config.max_leverage * share,
        )
        network = {**settings.network, "scaling": scaling}
        start = network.pop("start_leverage", None)
        if network.pop("band", False):
            network["band"] = band_arguments(simulator, scaling)
        self.model = self._make_model(network, seed)
        if start is not None:
            self._start_at(start / share)
        described = PolicyDescription.of(
            settings.algorithm,
            simulator,
            scheme=describe_scheme(simulator.scheme),
            network={**network, "n_choices": simulator.scheme.n_choices},
            training=provenance,
        )
        self.policy = LearnedPolicy(deepcopy(self.model.policy).to("cpu"), described)
        self._per_year = float(YEAR / simulator.interval)
        self._schedule = CostSchedule(settings.cost_warmup, settings.randomise, seed, total_decisions)
        self._costs = None if self._schedule.is_constant else SimulatorCosts(simulator)
        if settings.exploration is not None and not hasattr(self.model.policy, "log_std"):
            raise ValueError(
                "exploration is for ppo, a2c, trpo and recurrent_ppo with continuous actions; "
                f"{settings.algorithm} with {type(simulator.scheme).__name__} explores otherwise. Set it to None."
            )
        self._mode = ModeOfPolicy(self.model.policy, settings.algorithm)
        if settings.baseline:
            self.env.baseline = policy_leverage(simulator, self._act)
        _, self.callback = self.model._setup_learn(total_decisions)

    def _make_model(self, network: Mapping[str, Any], seed: int) -> Any:
        noise, arguments = self._action_noise(), policy_arguments(dict(network))
        if self.settings.algorithm == "ppo":
            arguments = {"optimizer_kwargs": {"eps": 1e-5, "fused": True}, **arguments}
        with in_one_line(self.settings):
            model = self.algorithm.load()(
                policy_class(self.settings.algorithm, network), self.env, policy_kwargs=arguments, seed=seed,
                device=device_of(self.settings.device), **noise,
                **{name: scheduled(value) for name, value in self.settings.parameters.items()},
            )  # fmt: skip
        model.set_logger(Logger(folder=None, output_formats=[]))
        if self.settings.compile:
            _check_compiler()
            model.compile()
        return model

    def _start_at(self, target: float) -> None:
        """Set the untrained mode of the policy to a target leverage; by default it is the middle of the range."""
        scheme, free = self.env.simulator.scheme, self.env.simulator.config.direction == "free"
        if not isinstance(scheme, LeverageScheme) or not hasattr(self.model.policy, "action_net"):
            raise ValueError(
                f"network.start_leverage is for ppo, a2c, trpo and recurrent_ppo with action 'leverage'; this is "
                f"{self.settings.algorithm} with {type(scheme).__name__}. Leave it out, or set it to null."
            )
        if not 0.0 <= target <= scheme.max_leverage:
            raise ValueError(
                f"network.start_leverage is a leverage of {target:g} on the margin; it must be in "
                f"[0, {scheme.max_leverage:g}]."
            )
        with torch.no_grad():
            share = target / scheme.max_leverage
            self.model.policy.action_net.bias.fill_(share if free else 2.0 * share - 1.0)

    def _action_noise(self) -> dict[str, Any]:
        """Independent noise per account, for agents that explore with it."""
        sigma = self.settings.action_noise
        if sigma is None:
            return {}
        from stable_baselines3.common.noise import NormalActionNoise

        slots = len(self.env.simulator.slots)
        return {"action_noise": NormalActionNoise(np.zeros(slots), np.full(slots, sigma))}

    @property
    def network(self) -> torch.nn.Module:
        """The network in training, on the learner's device."""
        return self.model.policy

    @property
    def decisions(self) -> int:
        """Decisions taken so far."""
        return int(self.model.num_timesteps)

    def _act(self, observations: np.ndarray) -> np.ndarray:
        """Mode of the present policy."""
        with torch.no_grad():
            return as_numbers(self._mode(torch.from_numpy(observations).to(self.model.device)))

    def update(self) -> dict[str, float]:
        """One rollout and one update of the algorithm."""
        self.env.reset_averages()
        if self._costs is not None:
            self._costs.apply(self._schedule.at(self.decisions))
        self._explore()
        self.model.logger.name_to_value.clear()
        try:
            with unchecked_distributions():
                self._rollout_and_train()
        except TrainingDiverged:
            raise
        except (ValueError, RuntimeError) as error:  # the accounts and torch's random draws refuse NaN
            check_weights(self.model.policy.named_parameters(), self.decisions, self._advice())
            if "action is nan" not in str(error) and "probability tensor" not in str(error):
                raise
            raise TrainingDiverged(
                f"after {self.decisions:,} decisions the distribution of the actions is NaN. {self._advice()}"
            ) from error
        losses = {f"train/{k.partition('/')[2]}": v for k, v in self._logged().items()}
        check_numbers(losses, self.decisions, self._advice())
        check_weights(self.model.policy.named_parameters(), self.decisions, self._advice())
        return {**self.env.averages(self._per_year), **losses}

    def _explore(self) -> None:
        """Set the exploration where it is not learned."""
        if self.settings.exploration is None:
            return
        first, last = self.settings.exploration
        done = min(1.0, self.decisions / self.total)
        with torch.no_grad():
            self.model.policy.log_std.fill_(math.log(first) + done * math.log(last / first))

    def _rollout_and_train(self) -> None:
        model = self.model
        if self.algorithm.on_policy:
            self.collect()
            check_numbers({"the reward": model.rollout_buffer.rewards}, self.decisions, self._advice())
            model._update_current_progress_remaining(model.num_timesteps, self.total)
            model.train()
            return
        model.collect_rollouts(
            self.env, self.callback, model.train_freq, model.replay_buffer, model.action_noise,
            model.learning_starts, log_interval=None,
        )  # fmt: skip
        if model.num_timesteps > model.learning_starts:
            model.train(batch_size=model.batch_size, gradient_steps=model.gradient_steps)

    def collect(self) -> None:
        model = self.model
        if self.algorithm.recurrent:
            model.collect_rollouts(
                self.env, self.callback, model.rollout_buffer, n_rollout_steps=model.n_steps
            )
        else:
            collect_rollout(model, self.env)

    def _logged(self) -> dict[str, float]:
        """Losses that the algorithm reported."""
        values = self.model.logger.name_to_value
        return {k: float(v) for k, v in values.items() if k.startswith("train/") and np.ndim(v) == 0}

    def _advice(self) -> str:
        rate = self.settings.parameters.get("learning_rate", "default")
        return (
            f"Lower parameters.learning_rate (now {rate}) or reward_scale (now {self.settings.reward_scale:g}), "
            "and look at the observations' scaling."
        )

    def state(self) -> dict[str, Any]:
        """Weights, optimisers, counters, the batch of accounts, and the replay buffer where there is one."""
        model = self.model
        names, variables = model._get_torch_save_params()
        saved: dict[str, Any] = {name: attrgetter(name)(model).state_dict() for name in names}
        saved["variables"] = {name: attrgetter(name)(model).detach().clone() for name in variables}
        saved["counters"] = {name: getattr(model, name) for name in _COUNTERS if hasattr(model, name)}
        saved["last_obs"] = torch.from_numpy(np.array(model._last_obs))
        saved["last_starts"] = torch.from_numpy(np.array(model._last_episode_starts))
        saved["action_draws"] = json.dumps(model.action_space.np_random.bit_generator.state)
        saved["batch"] = as_tensors(self.env.state())
        if self.algorithm.recurrent:
            saved["lstm"] = [tensor for pair in model._last_lstm_states for tensor in pair]
        if not self.algorithm.on_policy:
            saved["replay"] = _replay_state(model.replay_buffer)
        return saved

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a ``state``."""
        model = self.model
        names, variables = model._get_torch_save_params()
        for name in names:
            attrgetter(name)(model).load_state_dict(state[name])
        with torch.no_grad():
            for name in variables:
                attrgetter(name)(model).copy_(state["variables"][name])
        for name, value in state["counters"].items():
            setattr(model, name, value)
        model._last_obs = state["last_obs"].numpy().copy()
        model._last_episode_starts = state["last_starts"].numpy().copy()
        model.action_space.np_random.bit_generator.state = json.loads(state["action_draws"])
        self.env.restore(as_arrays(state["batch"]))
        if self.algorithm.recurrent:
            kept = [part.to(model.device) for part in state["lstm"]]
            model._last_lstm_states = type(model._last_lstm_states)((kept[0], kept[1]), (kept[2], kept[3]))
        if not self.algorithm.on_policy:
            _restore_replay(model.replay_buffer, state["replay"])


def _check_compiler() -> None:
    names = [os.environ["CXX"]] if os.environ.get("CXX") else ["g++", "clang++"]
    if not any(shutil.which(name) for name in names):
        raise ValueError(
            f"compile: true needs a C++ compiler, and there is no {' or '.join(names)} here. Install one, or set "
            "compile: false."
        )


def scheduled(value: Any) -> Any:
    """A parameter unchanged, or for ``"linear_0.002"`` a schedule that falls from there to zero over the budget."""
    if not (isinstance(value, str) and value.startswith("linear_")):
        return value
    try:
        start = float(value.removeprefix("linear_"))
    except ValueError:
        raise ValueError(
            f"{value!r} is not a schedule; write linear_0.002 for one that falls from 0.002."
        ) from None
    return lambda remaining: start * max(remaining, 0.0)


def _replay_state(buffer: Any) -> dict[str, Any]:
    filled = buffer.buffer_size if buffer.full else buffer.pos
    arrays = {name: torch.from_numpy(getattr(buffer, name)[:filled].copy()) for name in _BUFFER}
    return {**arrays, "pos": buffer.pos, "full": buffer.full}


def _restore_replay(buffer: Any, state: dict[str, Any]) -> None:
    buffer.pos, buffer.full = state["pos"], state["full"]
    for name in _BUFFER:
        kept = state[name].numpy()
        getattr(buffer, name)[: len(kept)] = kept
