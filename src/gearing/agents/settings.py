"""Settings of agents: one YAML of hyper-parameters per algorithm, and overrides checked by name."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib.resources import files
from numbers import Real
from typing import Any

import yaml

from gearing.agents.costs import checked_ranges
from gearing.names import check_names, check_types, shown

_FOLDER = "hyperparameters"
_DEVICES = re.compile(r"cpu|cuda(:\d+)?")
_NESTED = ("network", "parameters")


@dataclass(frozen=True)
class AgentSettings:
    """All settings of a training except market, account and seed.

    Parameters
    ----------
    algorithm : str
        One of ``agent_names()``.
    task : str or None
        Name of a section ``tasks`` in the algorithm's YAML, whose settings replace the general ones.
    total_decisions : int
        Training budget: decisions taken by all accounts together.
    n_accounts : int
        Accounts in one compiled batch.
    episode : str or None
        Length of a training episode unless the simulation's settings give one; None runs to the end of the data.
    scaling : {"robust", "standard", "none"}
        How the network's first layer scales observations, fitted on the training span: median and
        interquartile range, mean and standard deviation, or not at all.
    clip : float
        Scaled values are clipped to +- clip.
    columns : tuple of str or None
        Columns that the network reads, "market" for all of the market's; None for all, also those of the account.
    reward_scale : float
        Rewards are multiplied by this for learning; a day's log growth is a few hundredths.
    baseline : bool
        Subtract from each reward the growth over the same bars of a reference account without costs, which follows the
        present policy without exploration. Orders have no market impact, so this changes no expected gradient and
        removes most of the noise (an input-driven baseline; Mao et al., 2019).
    validate_every : int
        Decisions between validations; the best weights are kept.
    averaging : float
        Weight of the earlier updates in the exponential average of the network's weights, which is validated and
        chosen; 0 takes the present weights. An average of noisy updates scores better than the last of them.
    patience : int or None
        Stop after this many validations without a better score; None trains to the end of the budget.
    cost_warmup : float
        Share of the budget over which fees and slippage rise from zero to their full size.
    randomise : mapping
        Ranges of factors of fees, slippage and funding, drawn for every update, such as
        ``{fees: [0.5, 2], funding: [0.5, 2]}``. Validation uses the true costs.
    checkpoint_seconds : float
        Least time between two checkpoints; 0 writes one after every update.
    action_noise : float or None
        Standard deviation of the exploration noise of a deterministic off-policy agent (TD3).
    exploration : (float, float) or None
        Standard deviation of the actions of PPO, A2C or TRPO in [-1, 1], at the beginning and at the end of the
        budget (geometric between them). None lets the algorithm learn it.
    device : {"cpu", "cuda", "cuda:N"}
        Where the network is trained; the CPU, with a message, on a machine without that GPU. The accounts of PPO and
        of the other agents of stable-baselines3 are simulated on the CPU, those of the differentiable agent on the
        device. A GPU pays from batches of some ten thousand decisions on.
    compile : bool
        Compile the losses of PPO with ``torch.compile``: some seconds once, then faster updates. It needs a C++
        compiler, and rounds differently.
    network : mapping
        ``layers``, ``activation`` and other arguments of the algorithm's policy. ``start_leverage`` (of equity) is the
        leverage of the untrained policy; None is the middle of the action's range.
    parameters : mapping
        Arguments of the algorithm, by its own names; "linear_0.002" falls from there to zero.
    """

    algorithm: str
    task: str | None = None
    total_decisions: int = 500_000
    n_accounts: int = 256
    episode: str | None = "90d"
    scaling: str = "robust"
    clip: float = 5.0
    columns: tuple[str, ...] | None = None
    reward_scale: float = 30.0
    baseline: bool = True
    validate_every: int = 50_000
    averaging: float = 0.0
    patience: int | None = None
    cost_warmup: float = 0.0
    randomise: Mapping[str, Any] = field(default_factory=dict)
    checkpoint_seconds: float = 20.0
    action_noise: float | None = None
    exploration: tuple[float, float] | None = None
    device: str = "cpu"
    compile: bool = False
    network: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.columns is not None:
            names = self.columns if isinstance(self.columns, list | tuple) else [None]
            if not all(isinstance(name, str) for name in names):
                raise TypeError(
                    f"{self.algorithm}: columns is {shown(self.columns)}; it must be a list of names, or None."
                )
            object.__setattr__(self, "columns", tuple(self.columns))
        if self.scaling not in ("robust", "standard", "none"):
            raise ValueError(f"scaling is {self.scaling!r}; it must be robust, standard or none.")
        if self.exploration is not None:
            object.__setattr__(self, "exploration", self._checked_exploration())
        object.__setattr__(self, "randomise", checked_ranges(self.randomise))
        if not 0.0 <= self.cost_warmup <= 1.0:
            raise ValueError(f"{self.algorithm}: cost_warmup is {self.cost_warmup}; it must be in [0, 1].")
        if not _DEVICES.fullmatch(self.device):
            raise ValueError(
                f"{self.algorithm}: device is {self.device!r}; it must be cpu, cuda, or cuda:1 for the second GPU."
            )
        if self.compile and self.algorithm != "ppo":
            raise ValueError(f"{self.algorithm}: compile is for ppo; leave it out, or set it to false.")
        if not 0.0 <= self.averaging < 1.0:
            raise ValueError(f"{self.algorithm}: averaging is {self.averaging}; it must be in [0, 1).")
        for name in ("total_decisions", "n_accounts", "validate_every", "clip", "reward_scale"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{self.algorithm}: {name} is {getattr(self, name)}; it must be positive.")
        if self.patience is not None and self.patience < 1:
            raise ValueError(
                f"{self.algorithm}: patience is {self.patience}; it must be at least 1, or None."
            )

    def _checked_exploration(self) -> tuple[float, float]:
        sizes = self.exploration if isinstance(self.exploration, list | tuple) else ()
        numbers = [size for size in sizes if isinstance(size, Real) and 0.0 < float(size) < math.inf]
        if len(sizes) != 2 or len(numbers) != 2:
            raise ValueError(
                f"{self.algorithm}: exploration is {shown(self.exploration)}; it is two positive standard deviations, "
                "at the beginning and at the end, such as [0.5, 0.05]."
            )
        return float(sizes[0]), float(sizes[1])

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for YAML or a tracker; ``agent_settings`` takes them back."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values["columns"] = None if self.columns is None else list(self.columns)
        values["exploration"] = None if self.exploration is None else list(self.exploration)
        values["randomise"] = {name: list(pair) for name, pair in self.randomise.items()}
        return {**values, **{name: dict(values[name]) for name in _NESTED}}


def agent_names() -> tuple[str, ...]:
    """Algorithms that ship with hyper-parameters."""
    found = (entry.name for entry in files(__package__).joinpath(_FOLDER).iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in found if name.endswith(".yaml")))


def agent_settings(given: str | Mapping[str, Any] | AgentSettings, **changes: Any) -> AgentSettings:
    """Settings of an algorithm: its YAML, then what is given, then the changes.

    Parameters
    ----------
    given : str, mapping or AgentSettings
        A name, or a mapping with the key ``algorithm`` and overrides of its YAML; the key ``task`` adds
        the settings tuned for it. ``network`` and ``parameters`` are merged, not replaced.

    Raises
    ------
    ValueError
        For an unknown algorithm, task or setting; the message names the nearest.
    TypeError
        For a setting of another type.

    Examples
    --------
    >>> agent_settings("ppo", total_decisions=100_000, parameters={"learning_rate": 1e-4}).n_accounts
    256
    """
    if isinstance(given, AgentSettings):
        given = given.as_dict()
    if not isinstance(given, str | Mapping):
        raise TypeError(
            f"the agent is {shown(given)}; give a name ({', '.join(agent_names())}), or a mapping with the key "
            "'algorithm'."
        )
    overrides = {"algorithm": given} if isinstance(given, str) else dict(given)
    if "algorithm" not in overrides:
        raise ValueError(f"agent settings need the key 'algorithm', one of {', '.join(agent_names())}.")
    values = shipped_settings(str(overrides["algorithm"]))
    tuned = values.pop("tasks", {})
    task = changes.get("task", overrides.get("task"))
    layers: tuple[Mapping[str, Any], ...] = (_of_task(values["algorithm"], tuned, task), overrides, changes)
    for layer in layers:
        check_names(
            f"agent {values['algorithm']!r} has no setting",
            layer,
            [f.name for f in fields(AgentSettings)],
            advice="Arguments of the algorithm itself go under 'parameters'.",
        )
        for name in _NESTED:
            if not isinstance(layer.get(name) or {}, Mapping):
                raise TypeError(
                    f"agent {values['algorithm']!r}: {name} is {shown(layer[name])}; it must be a mapping."
                )
        for name, value in layer.items():
            values[name] = dict(values.get(name) or {}) | dict(value or {}) if name in _NESTED else value
    check_types(values, AgentSettings)
    return AgentSettings(**values)


def _of_task(algorithm: str, tuned: Mapping[str, Any], task: str | None) -> Mapping[str, Any]:
    if task is None:
        return {}
    check_names(f"agent {algorithm!r} has no settings for the task", [task], tuned)
    return tuned[task]


def shipped_settings(algorithm: str) -> dict[str, Any]:
    """Settings of an agent as its file in the package holds them."""
    check_names("no agent", [algorithm], agent_names())
    text = files(__package__).joinpath(_FOLDER, f"{algorithm}.yaml").read_text(encoding="utf-8")
    return {**yaml.safe_load(text), "algorithm": algorithm}
