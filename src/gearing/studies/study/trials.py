"""Trials of a study: one policy in one direction on one fold, with one seed; and what each leaves on disk."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from gearing.agents.settings import agent_settings
from gearing.evaluation.result import BacktestResult
from gearing.policies.registry import describe_rule, make_rule
from gearing.simulation.config import SimulationConfig
from gearing.storage.atomic import write_arrays
from gearing.studies.recording.metrics import numbers_of
from gearing.studies.rules_and_agents import Control
from gearing.studies.study.config import StudyConfig
from gearing.studies.study.prepare import Prepared
from gearing.studies.trials import Result, Trial


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

    @property
    def run_name(self) -> str:
        """Name of its tracked run."""
        names = (self.policy, self.group, self.direction, f"fold {self.fold}")
        seed = () if self.seed is None else (f"seed {self.seed}",)
        return ", ".join([" ".join(part for part in names if part is not None), *seed])

    @property
    def about(self) -> str:
        """What it is, as the begin of a sentence."""
        kind = "Rule" if self.seed is None else "Agent"
        return f"{kind} `{self.policy}` on fold {self.fold} ({self.spans})"

    @property
    def context(self) -> str:  # type: ignore[override]  # a constant of other trials
        """What its data are for."""
        return "test" if self.seed is None else "training, validation, test"

    def tags(self, config: Any) -> Mapping[str, Any]:
        """What tells it apart, and its contracts."""
        market = config.market
        named = config.symbols if market.is_history or market.contracts else [market.generator]
        return {
            "policy": self.policy, "policy_kind": "rule" if self.seed is None else "agent",
            "contract": ", ".join(self.accounts(config) or named),
            "direction": self.direction or config.decision.direction, "fold": self.fold, "seed": self.seed,
        }  # fmt: skip

    def parameters(self, config: Any) -> Mapping[str, Any]:
        """Every setting of the rule or agent, and those of the account."""
        return {"decision": config.decision.model_dump(mode="json"), **policy_parameters(config, self.policy)}

    def metrics(self, summary: Mapping[str, Any]) -> Mapping[str, float]:
        """Those of its account, or the mean over its contracts; CONTRACT/metric of each, overlay/metric with it."""
        numbers = numbers_of(summary)
        numbers.pop(CHOSEN_AT, None)  # is trained_decisions, too
        own = {name: value for name, value in numbers.items() if "." not in name}
        parts: dict[str, dict[str, float]] = {}
        for name in numbers.keys() - own.keys():
            part, _, metric = name.rpartition(".")
            parts.setdefault(part, {})[metric] = numbers[name]
        accounts = [row for part, row in parts.items() if not part.endswith(OVERLAID)]
        common = set.intersection(*(set(row) for row in accounts)) if accounts else set()
        means = {metric: float(np.mean([row[metric] for row in accounts])) for metric in sorted(common)}
        shown = {
            f"{part}/{name}": row[name] for part, row in parts.items() for name in METRICS if name in row
        }
        return means | own | shown

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


def policy_parameters(config: StudyConfig, policy: str) -> dict[str, Any]:
    """Every setting of a rule or an agent, defaults and those that ship included."""
    if policy in config.rules:
        rule = config.rules[policy]
        return {
            **rule.parameters,
            "controls": _names(config.controls if rule.controls is None else rule.controls),
        }
    agent = config.agents[policy]
    own = agent.model_dump(mode="json", include={"reward", "interval", "bootstrap", "choose", "pretrain"})
    return {
        **agent_settings(agent.hyper_parameters).as_dict(),
        **own,
        "action": agent.action or ("leverage" if agent.base is None else "residual"),
        "columns": ", ".join(agent.columns or config.columns),
        "base": _base_parameters(config, agent.base),
        "controls": _names(config.controls if agent.controls is None else agent.controls),
    }


def _base_parameters(config: StudyConfig, base: str | None) -> dict[str, Any] | None:
    if base is None:
        return None
    return config.rules[base].parameters if base in config.rules else describe_rule(make_rule(base))


def _names(controls: Sequence[Control] | None) -> str | None:
    return ", ".join(control.control for control in controls or ()) or None


def policy_settings(config: StudyConfig, policy: str) -> dict[str, Any]:
    """Settings of a rule or an agent, those of its base included; not how many seeds, groups and directions it has."""
    if policy in config.rules:
        return config.rules[policy].identity
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


def whole(trials: Sequence[PolicyTrial], results: Sequence[Result]) -> list[Result]:
    """Results of those policies, seeds apart, that have one of every fold.

    With a fold missing, a policy would be compared on other days than the others.
    """
    found = {result.trial for result in results}
    lacking = {_series(trial) for trial in trials if trial not in found}
    return [result for result in results if _series(result.trial) not in lacking]


def _series(trial: PolicyTrial) -> tuple[Any, ...]:
    """What the trials of one policy and seed have in common over all folds."""
    return trial.policy, trial.direction, trial.group, trial.seed


POLICY = "policy"  # the folder of a trained agent's weights
HISTORY = "history"  # every validation of its training: decisions, score, processor seconds
VALIDATION = "validation"  # its growth on validation in a trial's summary
CHOSEN_AT = (
    "chosen_at"  # decisions trained on until the chosen weights; 0 are the weights before any training
)
METRICS = (
    "log_growth", "sharpe", "max_drawdown", "effective_leverage", "liquidations", "fees", "funding", "ruined",
)  # of a contract, in tracked runs  # fmt: skip
OVERLAID = "-overlay"  # behind the account in the name of a file of what was played with the overlay
OVERLAY = " + controls"  # behind the name of a policy that is played with the overlay


def result_file(account: str | None, overlay: bool) -> str:
    """Name of the file of an account; None is the whole market's."""
    return f"{account or 'market'}{OVERLAID if overlay else ''}.npz"


def save_result(result: BacktestResult, path: Path, more: Mapping[str, Any] | None = None) -> None:
    """Write what a policy did, decision by decision, and more arrays with it."""
    arrays = {field.name: getattr(result, field.name) for field in fields(result)}
    del arrays["name"], arrays["config"]
    arrays["notes"] = np.array(result.notes, dtype=np.str_)
    arrays["facts"] = np.array(json.dumps(dict(result.facts)))
    arrays |= {f"more_{name}": array for name, array in (more or {}).items()}
    write_arrays(path, {k: np.asarray(v) for k, v in arrays.items() if v is not None}, compressed=True)


def load_result(
    name: str, path: Path, config: SimulationConfig
) -> tuple[BacktestResult, dict[str, np.ndarray]]:
    """What a policy did, and the arrays that were written with it.

    Raises
    ------
    ValueError
        If the file is missing or damaged.
    """
    try:
        with np.load(path) as stored:
            arrays = {key: stored[key] for key in stored.files}
    except (OSError, ValueError, BadZipFile) as error:
        advice = f"Delete the folder {path.parent}; a study that is started again plays the trial again."
        raise ValueError(f"{path} is missing or damaged ({error}). {advice}") from None
    more = {key.removeprefix("more_"): arrays.pop(key) for key in list(arrays) if key.startswith("more_")}
    for key in ("steps", "ledgers"):
        arrays[key] = arrays[key].view(np.recarray)
    result = BacktestResult(
        name=name, ruined=bool(arrays.pop("ruined")), slots=tuple(arrays.pop("slots").tolist()),
        notes=tuple(arrays.pop("notes").tolist()), facts=json.loads(str(arrays.pop("facts", "{}"))), config=config,
        **arrays,
    )  # fmt: skip
    return result, more
