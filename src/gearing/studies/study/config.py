"""Settings of a study: rules and agents over folds."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from gearing.market.timing import parse_duration
from gearing.policies.registry import make_rule
from gearing.simulation.config import SimulationConfig
from gearing.studies.experiment import ExperimentConfig
from gearing.studies.folds import Folds, Split
from gearing.studies.sections import (
    Agent,
    Agents,
    Control,
    Decision,
    Exchange,
    Forecast,
    Market,
    Rule,
    Rules,
    Statistics,
    account_settings,
)


class StudyConfig(ExperimentConfig):
    """A whole experiment of rules and agents over folds.

    ``controls`` are risk controls around every rule and agent that names none of its own, in the order they act.
    """

    kind: Literal["study"] = "study"
    market: Market = Market()
    split: Split | None = None
    folds: Folds | None = None
    decision: Decision = Decision()
    exchange: Exchange = Exchange()
    forecast: Forecast | None = Forecast()
    agents: Agents = Field(default_factory=dict)
    rules: Rules = Field(default_factory=dict)
    controls: list[Control] = Field(default_factory=list)
    seeds: Annotated[int, Field(ge=1)] | Annotated[list[int], Field(min_length=1)] = 3
    export: str | None = None
    statistics: Statistics = Statistics()

    not_hashed: ClassVar[frozenset[str]] = ExperimentConfig.not_hashed | {"statistics", "export"}

    @model_validator(mode="after")
    def _parts_agree(self) -> StudyConfig:
        self._check_names()
        self._check_bases()
        self._check_leverage()
        self._check_clock()
        self.simulation()
        return self

    def simulation(self, policy: str | None = None, **changes: Any) -> SimulationConfig:
        """Settings of the simulated account; ``changes`` are what an agent adds (reward, action)."""
        return SimulationConfig(**(self.simulation_settings(policy) | changes))

    def simulation_settings(self, policy: str | None = None) -> dict[str, Any]:
        """The same by name, as `gearing.backtest` and the environments take them.

        Parameters
        ----------
        policy : str, optional
            The rule or agent whose risk controls hold; None is any that has none of its own.
        """
        settings = account_settings(self.decision, self.exchange)
        settings["controls"] = tuple(control.make() for control in self._controls(policy))
        return settings

    def _controls(self, policy: str | None) -> list[Control]:
        named: dict[str, Rule | Agent] = {**self.rules, **self.agents}
        own = named[policy].controls if policy in named else None
        return self.controls if own is None else own

    @property
    def seed_list(self) -> list[int]:
        """Seeds of training: as given, or 0, 1, ... for a number of them."""
        return list(range(self.seeds)) if isinstance(self.seeds, int) else self.seeds

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
        asking = [name for name, agent in self.agents.items() if "forecast" in agent.columns]
        if asking and self.forecast is None:
            raise ValueError(f"agents {', '.join(asking)} read the forecast column, and forecast is null.")
        if self.export is not None and self.export not in self.agents:
            raise ValueError(
                f"export names {self.export!r}; it is one of the agents: {', '.join(self.agents)}."
            )

    def _check_bases(self) -> None:
        for agent in self.agents.values():
            if agent.base is not None and agent.base not in self.rules:
                make_rule(agent.base)

    def _check_leverage(self) -> None:
        from gearing.contracts.shipped import shipped_schedules, shipped_symbols

        for symbol in self.market.symbols if self.market.is_history else ():
            if symbol in shipped_symbols():
                top = shipped_schedules(symbol)[-1].tiers[0].max_leverage
                if self.decision.max_leverage > top:
                    raise ValueError(
                        f"decision.max_leverage {self.decision.max_leverage:g} exceeds {top:g}, the most that {symbol} "
                        f"allows. Set it to {top:g} or less."
                    )

    def _check_clock(self) -> None:
        bar, interval = parse_duration(self.market.bar), parse_duration(self.decision.interval, None)
        if interval < bar or interval.astype(int) % bar.astype(int):
            raise ValueError(
                f"decision.interval {self.decision.interval} is not a multiple of market.bar {self.market.bar}."
            )
