"""Trained agents as `Policy` objects, saved to folders without pickles."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch

from gearing.agents.policy.account_settings import describe_settings, make_settings
from gearing.agents.policy.book_network import BookNetwork
from gearing.agents.policy.description import PolicyDescription
from gearing.agents.policy.networks import build_network
from gearing.exchange.observing import ACCOUNT_COLUMNS, POSITION_COLUMNS
from gearing.policies import describe_rule, make_rule
from gearing.simulation.actions import SCHEMES, ResidualScheme
from gearing.simulation.observation import Observation
from gearing.simulation.simulator import Simulator
from gearing.storage.atomic import write_text
from gearing.storage.text import read_json

_DESCRIPTION, _WEIGHTS = "policy.json", "weights.npz"


class LearnedPolicy:
    """A policy network behind the `Policy` protocol and its hooks (:mod:`gearing.simulation.hooks`).

    Attributes
    ----------
    network : torch.nn.Module
        As built by :func:`gearing.agents.policy.networks.build_network`.
    description : PolicyDescription
    scheme : ActionScheme or None
        None where it returns target leverage.
    settings : dict
        Fields of `SimulationConfig` that ``gearing.train`` was given, which ``gearing.backtest`` uses where no others
        are given; none of a policy of `train_agent`.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        description: PolicyDescription,
        settings: Mapping[str, Any] | None = None,
    ):
        self.network = network
        self.description = description
        self.scheme = make_described_scheme(description.scheme)
        self.action_scheme = str(description.scheme["action"])
        self.required_columns = description.columns
        self.masked = description.algorithm == "maskable_ppo"
        self.settings = dict(settings or {})

    def predict(
        self,
        observation: Observation,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Any]:
        """Actions (n_accounts, n_slots), normalised or target leverage, and the network's next state.

        ``action_masks`` (n_accounts, n_slots * n_choices) are for policies that are ``masked``.
        """
        raw = self.arranged(observation)
        masks = {"action_masks": action_masks} if self.masked and action_masks is not None else {}
        actions, state = self.network.predict(raw, state, episode_start, deterministic, **masks)
        return np.asarray(actions).reshape(len(raw), -1), state

    def precomputed(self, simulator: Simulator, rows: np.ndarray) -> Any:
        """This policy for accounts that decide at known rows of the tape, see `precompute_bands`."""
        from gearing.agents.policy.precomputed_bands import precompute_bands

        return precompute_bands(self, simulator, rows)

    def arranged(self, observation: Observation) -> np.ndarray:
        """The observation with this policy's columns, in their order."""
        wanted, given = self.description.names, observation.layout.names
        if given == wanted:
            return observation.array
        if isinstance(self.network, BookNetwork):
            return _of_any_contracts(self.description, observation)
        if set(wanted) <= set(given):
            return observation.array[:, [given.index(name) for name in wanted]]
        missing = [name for name in wanted if name not in given]
        raise ValueError(
            f"this {self.description.algorithm} policy was trained on {', '.join(missing)}, which the observation "
            "lacks. Compute the same features and join the same forecasts as in training."
        )

    def for_contracts(self, symbols: Sequence[str]) -> LearnedPolicy:
        """This policy for other contracts, any number of them; the weights are the same.

        Raises
        ------
        ValueError
            If its weights belong to the contracts that it was trained on.
        """
        about, kinds = self.description, len(ACCOUNT_COLUMNS)
        if not isinstance(self.network, BookNetwork):
            raise ValueError(
                f"the weights of a {about.algorithm} policy belong to {', '.join(about.slots)}; only a "
                "differentiable_book plays on other contracts."
            )
        block, slots = len(about.columns), len(about.slots)
        sizes = (block, len(POSITION_COLUMNS))
        names = [
            f"{c}[{s}]" if len(symbols) > 1 else c
            for group in (about.columns, POSITION_COLUMNS)
            for s in symbols
            for c in group
        ]
        bounds = []
        for values in (about.low, about.high):
            market, position, account = (
                values[: sizes[0]],
                values[slots * block :][: sizes[1]],
                values[-kinds:],
            )
            bounds.append((*market * len(symbols), *position * len(symbols), *account))
        described = replace(
            about, names=(*names, *ACCOUNT_COLUMNS), low=bounds[0], high=bounds[1], slots=tuple(symbols)
        )
        return LearnedPolicy(self.network, described, self.settings)

    def save(self, folder: str | Path) -> Path:
        """Write ``policy.json`` and ``weights.npz`` into a folder, created if missing."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        described = {**asdict(self.description), "settings": describe_settings(self.settings)}
        write_text(folder / _DESCRIPTION, json.dumps(described, indent=1) + "\n")
        weights = {name: tensor.numpy() for name, tensor in self.network.state_dict().items()}
        np.savez(folder / _WEIGHTS, **weights)
        return folder

    def __repr__(self) -> str:
        about = self.description
        return f"LearnedPolicy({about.algorithm}, {self.action_scheme}, {len(about.names)} columns)"


def _of_any_contracts(description: PolicyDescription, observation: Observation) -> np.ndarray:
    """The observation of other contracts with the columns of a description, in their order."""
    layout = observation.layout
    if missing := [name for name in description.columns if name not in layout.columns]:
        raise ValueError(
            f"this {description.algorithm} policy was trained on {', '.join(missing)}, which the observation lacks. "
            "Compute the same features and join the same forecasts as in training."
        )
    market = np.stack([observation[name] for name in description.columns], axis=2)
    account = observation.array[:, len(layout.columns) * len(layout.symbols) :]
    return np.concatenate([market.reshape(len(market), -1), account], axis=1)


def load_policy(folder: str | Path) -> LearnedPolicy:
    """Read a policy that ``LearnedPolicy.save`` wrote.

    Raises
    ------
    FileNotFoundError
        If the folder holds no policy.
    ValueError
        Naming the file that is damaged.
    """
    folder = Path(folder)
    for name in (_DESCRIPTION, _WEIGHTS):
        if not (folder / name).exists():
            raise FileNotFoundError(
                f"{folder} has no {name}; a policy is a folder written by LearnedPolicy.save."
            )
    values = read_json(folder / _DESCRIPTION, dict, allow_nan=True)
    try:
        for name in ("names", "low", "high", "columns", "slots"):
            values[name] = tuple(values[name])
        settings = make_settings(values.pop("settings", {}))
        description = PolicyDescription(**values)
        network = build_network(description)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{folder / _DESCRIPTION} does not describe a policy; train it again.") from error
    try:
        with np.load(folder / _WEIGHTS, allow_pickle=False) as weights:
            network.load_state_dict({name: torch.from_numpy(weights[name]) for name in weights.files})
    except (
        AttributeError,
        EOFError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
        BadZipFile,
        zlib.error,
    ) as error:
        raise ValueError(f"{folder / _WEIGHTS} is damaged, or not of this policy; train it again.") from error
    return LearnedPolicy(network, description, settings)


def describe_scheme(scheme: Any) -> dict[str, Any]:
    """Name and parameters of an action scheme as plain values.

    Raises
    ------
    ValueError
        For a scheme that is not registered, or a base rule that is not.
    """
    if isinstance(scheme, ResidualScheme):
        return {"action": "residual", "max_leverage": scheme.max_leverage, "base": describe_rule(scheme.base)}
    for name in SCHEMES.names():
        if SCHEMES[name] is type(scheme) and is_dataclass(scheme) and not isinstance(scheme, type):
            return {"action": name, **json.loads(json.dumps(asdict(scheme)))}
    raise ValueError(
        f"{type(scheme).__name__} cannot be saved with a policy; register it, a dataclass with max_leverage: "
        "@gearing.simulation.action_scheme('name')."
    )


def make_described_scheme(given: Mapping[str, Any]) -> Any:
    """The scheme that ``describe_scheme`` described."""
    values = dict(given)
    name = values.pop("action")
    if name == "target":
        return None
    if name == "residual":
        return ResidualScheme(values["max_leverage"], base=make_rule(values["base"]))
    return SCHEMES[name](
        **{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    )
