"""The section ``search`` of an experiment: which settings of which agent vary, within what, and how often.

    search:
      trials: 50
      settings: {total_decisions: 300_000}          # in the search alone
      space:
        parameters.learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}
        parameters.gamma: [0.9, 0.95, 0.98]
        network.layers: [[32, 32], [48, 48]]

An experiment with this section searches instead of playing its test; the chosen settings are written as an experiment.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from math import prod
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from gearing.names import check_names, shown
from gearing.studies.fields import Section
from gearing.studies.reading import message_of

# Two names of one setting of an agent.
_SAME = {"steps": "total_decisions", "envs": "n_accounts", "episode_length": "episode"}
CHOSEN = "chosen.yaml"  # file of a search: the experiment with the settings that it chose
_MOST = 10_000  # trials; the sampler looks at all of them
_LARGEST = 2**53  # whole number of a range: the sampler computes with floating-point numbers


class Range(Section):
    """Numbers from ``low`` to ``high``, both included; whole numbers if both are.

    Attributes
    ----------
    low, high : number
    log : bool
        Whether all orders of magnitude are equally likely.
    step : number, optional
        Distance of the values; not with ``log``.
    """

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _is_a_range(self) -> Range:
        if self.low >= self.high:
            raise ValueError(
                f"low {self.low} is not less than high {self.high}. Swap them, or set the value."
            )
        if self.is_whole and max(abs(self.low), abs(self.high)) > _LARGEST:
            raise ValueError(
                f"low {self.low} to high {self.high} exceeds {_LARGEST}, the largest whole number."
            )
        if self.step is not None and self.step * (1.0 - 1e-9) > self.high - self.low:
            raise ValueError(
                f"step {self.step} is more than high - low, so only {self.low} is left. Lower step."
            )
        if self.log and self.low <= 0:
            raise ValueError(f"log needs a positive low, and low is {self.low}. Drop log, or raise low.")
        if self.log and self.step is not None:
            raise ValueError("log and step exclude each other. Drop one.")
        if self.is_whole and isinstance(self.step, float):
            raise ValueError(
                f"step {self.step} of whole numbers must be whole. Write low and high as {self.low}.0."
            )
        return self

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers are drawn."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def written(self, value: float) -> int | float:
        """A drawn number as an experiment has it: floats with four digits."""
        return int(value) if self.is_whole else min(max(float(f"{value:.4g}"), self.low), self.high)

    @property
    def values(self) -> list[Any] | None:
        """All numbers that may be drawn; None where they are not counted."""
        step = self.step or (1 if self.is_whole else None)
        if step is None or (self.high - self.low) / step > _MOST:
            return None
        count = int((self.high - self.low) / step + 1e-9) + 1
        return list(dict.fromkeys(self.written(self.low + k * step) for k in range(count)))

    @property
    def examples(self) -> list[Any]:
        """Values that an agent must accept for the range to make sense."""
        return [self.low, self.high]


Choices = Annotated[list[Any], Field(min_length=2)]


class Search(Section):
    """A search over the settings of one agent.

    Attributes
    ----------
    agent : str, optional
        Its name; not needed where the experiment has one agent.
    trials : int
        Settings that are drawn, besides the agent's own, which are trial 0.
    space : mapping of setting to range or choices
        Settings as an agent's section has them; a dot leads into ``network`` and ``parameters``.
    settings : mapping
        Settings of the agent that hold in the search alone, such as a smaller budget.
    seeds : int
        Trainings of each trial and fold; the score is their mean.
    batch : int
        Trials that are drawn at once, none knowing the score of another. A batch runs side by side, on as many workers
        as there are; so the result depends on this number, and not on ``jobs``.
    seed : int
        Of the sampler.
    prune : bool
        Whether a trial ends early whose score is below the median of the earlier batches at the same validation.
    """

    agent: str | None = None
    trials: int = Field(default=50, ge=1, le=_MOST)
    space: dict[str, Range | Choices] = Field(min_length=1)
    settings: dict[str, Any] = Field(default_factory=dict)
    seeds: int = Field(default=1, ge=1)
    batch: int = Field(default=5, ge=1)
    seed: int = Field(default=0, ge=0, lt=2**31)
    prune: bool = True

    @model_validator(mode="after")
    def _choices_differ(self) -> Search:
        for key, given in self.space.items():
            if isinstance(given, list):
                texts = [as_text(choice) for choice in given]
                if len(set(texts)) < len(texts):
                    raise ValueError(f"space.{key}: {shown(given)} holds a choice twice; write each once.")
        return self

    @property
    def values(self) -> list[list[Any]] | None:
        """All values of each setting of the space; None where the settings are not counted."""
        every = [one if isinstance(one, list) else one.values for one in self.space.values()]
        counted = [one for one in every if one is not None]
        few = len(counted) == len(every) and prod(map(len, counted)) <= _MOST
        return json.loads(json.dumps(counted)) if few else None

    def choices(self, key: str) -> list[Any]:
        """Choices of a setting of the space; empty for a range, and for a setting that is not searched."""
        given = self.space.get(key)
        return given if isinstance(given, list) else []

    def check(self, agents: Mapping[str, Any]) -> None:
        """Refuse a search that the experiment's agents do not allow.

        Raises
        ------
        ValueError
            For an agent that does not exist, a setting that does not exist or is also set, a value that the agent
            refuses.
        """
        name = self.agent_of(agents)
        agent = agents[name]
        written = dict(leaves(agent.model_dump(mode="json", exclude_unset=True)))
        _check_value("search.settings", agent, self.settings)
        for key, given in self.space.items():
            if key == "seeds":
                raise ValueError(
                    "search.space.seeds: the number of seeds is no setting that an agent learns better with. Drop it; "
                    "search.seeds sets how often each trial is trained."
                )
            _check_free(f"search.space.{key}", key, written, f"agents.{name}")
            _check_free(f"search.space.{key}", key, dict(leaves(self.settings)), "search.settings")
            for value in given if isinstance(given, list) else given.examples:
                _check_value(f"search.space.{key}", agent, {**self.settings, key: value})

    def agent_of(self, agents: Mapping[str, Any]) -> str:
        """Name of the agent whose settings vary."""
        if self.agent is not None:
            check_names("search.agent: no agent", [self.agent], agents)
            return self.agent
        if len(agents) != 1:
            raise ValueError(
                f"search varies one agent, and there are {', '.join(agents) or 'none'}. Name it, as in search.agent."
            )
        return next(iter(agents))


class Searched(Section):
    """What a search tried until it chose an agent's settings; its experiment writes this section.

    Attributes
    ----------
    agent : str
    trials : int
        Configurations tried; the Sharpe ratio of the agent is deflated by their number.
    sharpes : list of float
        Sharpe ratios a year on validation of those that ran to their end.
    experiment : str
        The search.
    """

    agent: str
    trials: int = Field(ge=1)
    sharpes: list[float] = Field(default_factory=list)
    experiment: str = ""


def changed(agent: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """An agent's section with other settings; a dot leads into a mapping."""
    made = {key: dict(value) if isinstance(value, Mapping) else value for key, value in agent.items()}
    for key, value in changes.items():
        section, _, rest = key.partition(".")
        if rest:
            made[section] = changed(made.get(section) or {}, {rest: value})
        elif isinstance(value, Mapping) and isinstance(made.get(key), Mapping):
            made[key] = {**made[key], **value}
        else:
            made[key] = value
    return made


def leaves(section: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values of nested settings, without those that are None."""
    for key, value in section.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{before}{key}.")
        elif value is not None:
            yield f"{before}{key}", value


def as_text(value: Any) -> str:
    """A value as text that tells it from all others."""
    return json.dumps(value, sort_keys=True, default=str)


def _check_free(what: str, key: str, written: Mapping[str, Any], where: str) -> None:
    """Refuse to search what is also set."""
    own = _SAME.get(key, key)
    for other in written:
        same = _SAME.get(other, other)
        if same == own or same.startswith(f"{own}.") or own.startswith(f"{same}."):
            raise ValueError(f"{what} is searched, and {where}.{other} sets it. Drop one of the two.")


def _check_value(what: str, agent: Any, changes: Mapping[str, Any]) -> None:
    """Refuse settings that the agent does not have or take."""
    try:
        type(agent).model_validate(changed(agent.model_dump(mode="json"), changes))
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise ValueError(f"{what}: {f'{place}: ' if place else ''}{message_of(problem)}") from None
