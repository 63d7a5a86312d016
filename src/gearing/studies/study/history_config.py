"""Settings of a walk of agents and rules through real history."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from gearing.simulation.config import SimulationConfig
from gearing.storage.digest import digest
from gearing.studies.experiment import ExperimentConfig
from gearing.studies.fields import Action, Column, Direction, Duration, Named, Reward, RuleName
from gearing.studies.folds import Folds
from gearing.studies.sections import (
    Control,
    Decision,
    Exchange,
    Excursions,
    Forecast,
    Market,
    Pretraining,
    Rules,
    Slippage,
    check_agent,
)


class Agent(Named):
    """One learned policy.

    Attributes
    ----------
    algorithm, settings
        See `gearing.agents.AgentSettings`.
    action, base
        Action scheme, and the rule that a residual one scales.
    columns : list of str
        Features; "forecast" is the forecast column, "excursions" are all touch probabilities.
    reward : str
        Of agents that learn by reward.
    interval : duration, optional
        Its own decision interval.
    bootstrap : int
        Block-bootstrap paths of the training span that are added for each contract.
    pretrain : Pretraining, optional
    choose : bool
        Whether the weights are chosen on validation; False keeps the last ones.
    seeds : int, optional
        Instead of the study's number.
    groups, directions : list of str, optional
        Only these of the study.
    """

    named_by = "algorithm"

    algorithm: str
    action: Action = "leverage"
    base: RuleName | None = None
    columns: list[Column] | None = None
    reward: Reward = "log_growth"
    interval: Duration | None = None
    bootstrap: int = Field(default=0, ge=0)
    pretrain: Pretraining | None = None
    choose: bool = True
    seeds: int | None = Field(default=None, ge=1)
    groups: list[str] | None = None
    directions: list[str] | None = None

    def check(self) -> None:
        """Refuse an unknown algorithm, task or hyper-parameter."""
        check_agent(self.algorithm, self.settings, self.field_names())


class HistoryConfig(ExperimentConfig):
    """Settings of the study.

    Attributes
    ----------
    groups : mapping of name to contracts
        An agent trains on all contracts of a group and is tested on each.
    directions : mapping of name to direction
    columns : list of str
        What agents see unless they say otherwise.
    controls : list of mapping
        Risk controls; rules are played without and with them.
    budget : float
        Stated probability of a liquidation within 30 days, beside which the realised one is set.
    shifts : int
        Circular shifts in time that the leverages of every policy are played at, as a placebo of its timing.
    seeds : int
        More seeds, agents and rules can be added later: what is played already is not played again.
    """

    kind: Literal["history"] = "history"
    market: Market
    groups: dict[str, list[str]] = Field(min_length=1)
    directions: dict[str, Direction] = Field(default={"long": "long"}, min_length=1)
    folds: Folds = Folds()
    decision: Decision = Decision()
    exchange: Exchange = Exchange()
    forecast: Forecast | None = None
    excursions: Excursions | None = None
    columns: list[Column] = Field(default=["default"], min_length=1)
    controls: list[Control] = Field(default_factory=list)
    agents: dict[str, Agent] = Field(default_factory=dict)
    rules: Rules = Field(default_factory=dict)
    budget: float = Field(default=0.05, gt=0.0, lt=1.0)
    shifts: int = Field(default=200, ge=0)
    seeds: int = Field(default=10, ge=1)

    @model_validator(mode="after")
    def _parts_agree(self) -> HistoryConfig:
        own = [name for name, rule in self.rules.items() if rule.controls is not None]
        if own:
            raise ValueError(
                f"{', '.join(own)}: here every policy is played without and with the same controls; name them once, "
                "under controls."
            )
        for name, agent in self.agents.items():
            for asked, known in ((agent.groups, self.groups), (agent.directions, self.directions)):
                for one in asked or ():
                    if one not in known:
                        raise ValueError(f"agent {name} asks for {one!r}; there are {', '.join(known)}.")
        self.simulation("long")
        return self

    def simulation(self, direction: str, **changes: Any) -> SimulationConfig:
        """Settings of the simulated account."""
        decision = self.decision.model_dump()
        settings = decision | self.exchange.model_dump(exclude={"slippage"})
        settings["decision_interval"] = settings.pop("interval")
        settings["decision"] = settings.pop("mode")
        settings["slippage"] = _slippage(self.exchange.slippage)
        return SimulationConfig(**(settings | {"direction": direction} | changes))

    @property
    def symbols(self) -> list[str]:
        """All contracts, each once."""
        return list(dict.fromkeys(symbol for group in self.groups.values() for symbol in group))

    @property
    def digest(self) -> str:
        """Hash of what markets, folds and accounts are, and of each policy; how many there are does not matter."""
        kept = {
            "market",
            "folds",
            "decision",
            "exchange",
            "forecast",
            "excursions",
            "directions",
            "controls",
            "columns",
            "groups",
        }
        told = self.model_dump(mode="json", include=kept, exclude_defaults=True)
        return digest(told)


def _slippage(asked: Slippage) -> Any:
    from gearing.simulation.config import Slippage as Simulated

    return Simulated(**asked.model_dump())
