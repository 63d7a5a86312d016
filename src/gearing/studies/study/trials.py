"""Trials of a study: one policy in one direction on one fold, with one seed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gearing.studies.study.config import StudyConfig
from gearing.studies.study.prepare import Prepared
from gearing.studies.trials import Trial


@dataclass(frozen=True)
class PolicyTrial(Trial):
    """A rule or an agent on a fold.

    The group names the contracts that an agent trains on and is tested on, or the contract of a rule.
    """

    policy: str
    fold: int
    spans: str  # of the fold, as text
    seed: int | None = None  # a rule has none
    group: str | None = None  # None is the whole market
    direction: str | None = None  # None is the decision's own

    @property
    def name(self) -> str:
        """Name among the study's trials and files."""
        seed = None if self.seed is None else f"seed{self.seed}"
        parts = (f"fold{self.fold}", self.policy, self.group, self.direction, seed)
        return "-".join(part for part in parts if part is not None)

    @property
    def label(self) -> str:
        """Name of its tracked run."""
        parts = (self.policy, self.group, self.direction, None if self.seed is None else f"[{self.seed}]")
        return " ".join(part for part in parts if part is not None)

    def accounts(self, config: StudyConfig) -> list[str]:
        """Contracts that it is tested on, each by itself; none is named where one account trades the whole market."""
        if self.group is None or config.groups is None:
            return []
        return [self.group] if self.seed is None else config.groups[self.group]

    def settings(self, config: Any) -> Any:
        """What the result depends on: the account, the columns, and this policy alone."""
        shared = {
            "decision", "exchange", "columns", "forecast", "excursions", "controls", "overlay", "shifts",
        }  # fmt: skip
        return {
            **config.model_dump(mode="json", include=shared),
            "policy": policy_settings(config, self.policy),
            "direction": config.simulation(self.policy, self.direction).direction,
        }

    def data(self, config: Any, fingerprints: Mapping[str, str]) -> Mapping[str, str]:
        """Fingerprints of its contracts."""
        accounts = self.accounts(config) or list(fingerprints)
        return {account: fingerprints[account] for account in accounts}


def policy_settings(config: StudyConfig, policy: str) -> dict[str, Any]:
    """Settings of a rule or an agent, those of its base included; not how many seeds, groups and directions it has."""
    if policy in config.rules:
        return config.rules[policy].model_dump(mode="json")
    agent = config.agents[policy]
    given = agent.model_dump(mode="json", exclude={"seeds", "groups", "directions"})
    base = config.rules.get(agent.base or "")
    return given | {"rule": None if base is None else base.model_dump(mode="json")}


def trials_of(prepared: Prepared) -> list[PolicyTrial]:
    """All trials: rules first, contract by contract; then agents, seed by seed."""
    config = prepared.config
    contracts: list[Any] = [None] if config.groups is None else list(prepared.markets)
    rules = [
        PolicyTrial(rule, fold.number, str(fold), None, contract, direction)
        for direction in config.direction_names
        for contract in contracts
        for fold in prepared.folds
        for rule in config.rules
    ]
    most = max((len(config.seeds_of(name)) for name in config.agents), default=0)
    return rules + [trial for k in range(most) for trial in _of_agents(prepared, k)]


def _of_agents(prepared: Prepared, number: int) -> Iterator[PolicyTrial]:
    """Trials of all agents with their seed of a number."""
    config = prepared.config
    for name, agent in config.agents.items():
        for seed in config.seeds_of(name)[number : number + 1]:
            for direction in config.directions_of(name):
                for group in agent.groups or list(config.groups or [None]):  # type: ignore[list-item]
                    for fold in prepared.folds:
                        yield PolicyTrial(name, fold.number, str(fold), seed, group, direction)
