"""Settings of a study: rules and agents over folds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from gearing.contracts.shipped import shipped_schedules, shipped_symbols
from gearing.market.timing import parse_duration
from gearing.names import check_names
from gearing.policies.registry import make_rule
from gearing.simulation.config import SimulationConfig
from gearing.studies.experiment import ExperimentConfig
from gearing.studies.fields import Column, Direction
from gearing.studies.folds import Folds, Split
from gearing.studies.forecasters import Excursions, Forecast
from gearing.studies.reading import load_config
from gearing.studies.rules_and_agents import Agent, Agents, Control, Rule, Rules, Seeds, Some
from gearing.studies.search.config import Search, Searched
from gearing.studies.sections import Decision, Exchange, Market, Statistics, account_settings

_RULES = "gearing.policies.rules"  # the package of the shipped rules


class StudyConfig(ExperimentConfig):
    """A whole experiment of rules and agents over folds.

    Attributes
    ----------
    groups : mapping of name to contracts, optional
        Each contract is traded by an account of its own; an agent trains on all contracts of a group and is tested on
        each. Without groups, one account trades all contracts of the market.
    directions : mapping of name to direction, optional
        Every policy is played in each; without, the decision's own is the only one.
    split, folds : Split or Folds
        How time is cut.
    columns : list of str
        What agents see unless they say otherwise; "forecast" and "excursions" are the columns of those sections.
    controls : list of controls
        Risk controls around every policy that names none of its own, in training and test, in the order they act.
    overlay : list of controls
        Every policy is played on the test days without these and with them; agents train without them.
    shifts : int
        Circular shifts in time that the leverages of every policy are played at: a placebo test of its timing.
    budget : float, optional
        Stated probability of a liquidation within 30 days, to compare with the realised one.
    seeds : int or list of int
        Of training.
    export : str, optional
        The agent or rule whose bundle is written.
    search : Search, optional
        Search over the settings of an agent on the validation spans of all folds, instead of playing the tests.
    searched : Searched, optional
        The search that chose an agent's settings; the leaderboard deflates the agent's Sharpe ratio by what it tried.
    """

    kind: Literal["study"] = "study"
    market: Market = Market()
    groups: dict[str, Some] | None = Field(default=None, min_length=1)
    directions: dict[str, Direction] | None = Field(default=None, min_length=1)
    split: Split | None = None
    folds: Folds | None = None
    decision: Decision = Decision()
    exchange: Exchange = Exchange()
    columns: list[Column] = Field(default=["default", "forecast"], min_length=1)
    forecast: Forecast | None = Forecast()
    excursions: Excursions | None = None
    agents: Agents = Field(default_factory=dict)
    rules: Rules = Field(default_factory=dict)
    controls: list[Control] = Field(default_factory=list)
    overlay: list[Control] = Field(default_factory=list)
    shifts: int = Field(default=0, ge=0)
    budget: float | None = Field(default=None, gt=0.0, lt=1.0)
    seeds: Seeds = 3
    export: str | None = None
    statistics: Statistics = Statistics()
    search: Search | None = None
    searched: Searched | None = None

    not_hashed: ClassVar[frozenset[str]] = ExperimentConfig.not_hashed | {"statistics", "export", "budget"}

    @model_validator(mode="after")
    def _parts_agree(self) -> StudyConfig:
        self._check_names()
        self._check_groups()
        self._check_bases()
        self._check_leverage()
        self._check_clock()
        self._check_legs()
        self._check_search()
        for direction in self.direction_names:
            self.simulation(direction=direction)
        return self

    def simulation(
        self, policy: str | None = None, direction: str | None = None, overlay: bool = False, **changes: Any
    ) -> SimulationConfig:
        """Settings of the simulated account; ``changes`` are what an agent adds (reward, action)."""
        return SimulationConfig(**(self.simulation_settings(policy, direction, overlay) | changes))

    def simulation_settings(
        self, policy: str | None = None, direction: str | None = None, overlay: bool = False
    ) -> dict[str, Any]:
        """The same by name, as `gearing.backtest` and the environments take them.

        Parameters
        ----------
        policy : str, optional
            The rule or agent whose risk controls and interval hold; None is any that has none of its own.
        direction : str, optional
            One of the ``directions``; None is the decision's own.
        overlay : bool
            Whether the controls of ``overlay`` act, too.
        """
        settings = account_settings(self.decision, self.exchange)
        named: dict[str, Rule | Agent] = {**self.rules, **self.agents}
        own = named[policy].controls if policy in named else None
        controls = [*(self.controls if own is None else own), *(self.overlay if overlay else [])]
        settings["controls"] = tuple(control.make() for control in controls)
        if self.directions is not None and direction is not None:
            settings["direction"] = self.directions[direction]
        if policy in self.agents and self.agents[policy].interval is not None:
            settings["decision_interval"] = self.agents[policy].interval
        return settings

    @property
    def direction_names(self) -> list[str | None]:
        """Names of the directions; None alone is the decision's own."""
        return [None] if self.directions is None else list(self.directions)

    @property
    def overlays(self) -> tuple[bool, ...]:
        """Whether policies are played without the overlay, and with it."""
        return (False, True) if self.overlay else (False,)

    @property
    def symbols(self) -> list[str]:
        """Contracts of real history, each once."""
        if self.groups is None:
            return self.market.symbols
        return list(dict.fromkeys(symbol for group in self.groups.values() for symbol in group))

    @property
    def baseline(self) -> str:
        """The policy that others are compared with: the first one unless another is named."""
        return self.statistics.baseline or next(iter((*self.rules, *self.agents)))

    def directions_of(self, policy: str) -> Sequence[str | None]:
        """Names of the directions that a policy plays."""
        return (self.agents[policy].directions if policy in self.agents else None) or self.direction_names

    def seeds_of(self, agent: str) -> list[int]:
        """Seeds of an agent: as given, or 0, 1, ... for a number of them."""
        own = self.agents[agent].seeds
        seeds = self.seeds if own is None else own
        return list(range(seeds)) if isinstance(seeds, int) else seeds

    @property
    def cuts(self) -> Split | Folds:
        """How time is cut."""
        return self.split or self.folds or Folds()

    def _check_names(self) -> None:
        if self.split is not None and self.folds is not None:
            raise ValueError("time is cut by split or by folds, and both are given. Drop one.")
        twice = sorted(self.agents.keys() & self.rules.keys())
        if twice:
            raise ValueError(f"{', '.join(twice)}: a rule and an agent share a name. Rename one.")
        if not self.agents and not self.rules:
            raise ValueError("nothing to study: name agents, rules or both.")
        for column in ("forecast", "excursions"):
            reading = [n for n, agent in self.agents.items() if column in (agent.columns or self.columns)]
            if reading and getattr(self, column) is None:
                raise ValueError(
                    f"agents {', '.join(reading)} read the column {column!r}, and {column} is null; say how it is "
                    f"made, as in {column}: {{}}."
                )
        baseline = self.statistics.baseline
        if baseline is not None:
            check_names("statistics.baseline: no policy", [baseline], [*self.rules, *self.agents])
        self._check_export()

    def _check_export(self) -> None:
        if self.export is None:
            return
        check_names("export: no agent or rule", [self.export], [*self.agents, *self.rules])
        played = self.directions_of(self.export)
        if len(played) > 1:
            raise ValueError(
                f"export names {self.export!r}, which plays the directions {', '.join(map(str, played))}, and a bundle "
                "has one. Drop export, and write each with `gearing export STUDY_FOLDER --direction NAME`."
            )

    def _check_groups(self) -> None:
        for name, agent in self.agents.items():
            for given, known in ((agent.groups, self.groups), (agent.directions, self.directions)):
                for one in given or ():
                    if one not in (known or {}):
                        raise ValueError(
                            f"agent {name} names {one!r}; there are {', '.join(known or ['none'])}."
                        )
        if self.groups is None:
            if self.shifts:
                raise ValueError("shifts belong to a study with groups, whose table shows them. Drop them.")
            self._check_baseline()
            return
        if self.market.contracts is not None:
            raise ValueError("groups name the contracts. Drop market.contracts.")
        if self.export is not None:
            raise ValueError("a study with groups exports no policy. Drop export, or groups.")

    def _check_baseline(self) -> None:
        played = {one for policy in (*self.rules, *self.agents) for one in self.directions_of(policy)}
        without = sorted(map(str, played - set(self.directions_of(self.baseline))))
        if without:
            raise ValueError(
                f"statistics.baseline {self.baseline!r} does not play {', '.join(without)}, where others are compared "
                "with it. Name a policy that plays every direction."
            )

    def _check_bases(self) -> None:
        for name, agent in self.agents.items():
            if agent.base is not None and agent.base not in self.rules:
                try:
                    make_rule(agent.base)
                except ValueError as error:
                    raise ValueError(f"agents.{name}.base: {error}") from None

    def _check_leverage(self) -> None:
        for symbol in self.symbols if self.market.is_history else ():
            if symbol in shipped_symbols():
                top = shipped_schedules(symbol)[-1].tiers[0].max_leverage
                if self.decision.max_leverage > top:
                    raise ValueError(
                        f"decision.max_leverage {self.decision.max_leverage:g} exceeds {top:g}, the most that {symbol} "
                        f"allows. Set it to {top:g} or less."
                    )

    def _check_legs(self) -> None:
        """A shipped rule chooses one leverage for each contract, not one for each leg."""
        shipped = [
            name for name, rule in self.rules.items() if type(rule.make()).__module__.startswith(_RULES)
        ]
        if self.decision.position_mode == "hedge" and shipped:
            raise ValueError(
                f"decision.position_mode hedge needs a signed leverage for each leg, and the rules "
                f"{', '.join(shipped)} choose one for each contract. Write position_mode: one_way, or drop the rules."
            )

    def _check_search(self) -> None:
        if self.search is not None:
            self.search.check(self.agents)
            name = self.search.agent_of(self.agents)
            if self.agents[name].pretrain is not None:
                raise ValueError(
                    f"search trains {name} on the study's own folds alone. Drop agents.{name}.pretrain."
                )
        if self.searched is not None:
            check_names("searched.agent: no agent", [self.searched.agent], self.agents)

    def _check_clock(self) -> None:
        bar = parse_duration(self.market.bar)
        own = {f"agents.{name}": agent.interval for name, agent in self.agents.items() if agent.interval}
        for place, text in ({"decision": self.decision.interval} | own).items():
            interval = parse_duration(text, None)
            if interval < bar or interval.astype(int) % bar.astype(int):
                raise ValueError(
                    f"{place}.interval {text} is not a multiple of market.bar {self.market.bar}."
                )


def load_study(
    experiment: str | Path | Mapping[str, Any],
    overrides: Iterable[str] = (),
    source: str | None = None,
    plugins: Iterable[str] = (),
) -> StudyConfig:
    """`load_config`, refusing experiments of another kind."""
    config = load_config(experiment, overrides, source, plugins)
    if not isinstance(config, StudyConfig):
        raise ValueError(
            f"{source or experiment} is an experiment of kind {config.kind!r}; a study is needed here."
        )
    return config
