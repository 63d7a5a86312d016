"""One trial: one policy, one fold, one seed, with its result on disk."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gearing.evaluation.backtesting import backtest
from gearing.evaluation.metrics import daily_log_growth
from gearing.evaluation.result import BacktestResult
from gearing.simulation.actions import ResidualScheme
from gearing.storage.atomic import write_arrays
from gearing.studies.folds import Fold
from gearing.studies.sections import Agent
from gearing.studies.study.config import StudyConfig
from gearing.studies.study.prepare import Prepared, agent_columns, base_rule, made_rule
from gearing.studies.trials import Place, Trial

RESULT = "result.npz"  # what a trial leaves in its folder
POLICY, VALIDATION = "policy", "validation.json"  # and that of an agent


@dataclass(frozen=True)
class PolicyTrial(Trial):
    """One policy on one fold: a rule has no seed."""

    policy: str
    fold: int
    seed: int | None = None

    @property
    def name(self) -> str:
        """Name among the study's trials and files."""
        seed = "" if self.seed is None else f"-seed{self.seed}"
        return f"fold{self.fold}-{self.policy}{seed}"

    @property
    def label(self) -> str:
        """Name in tables."""
        return self.policy if self.seed is None else f"{self.policy} [{self.seed}]"


def trials_of(prepared: Prepared) -> list[PolicyTrial]:
    """All trials of a study, rules first."""
    config = prepared.config
    rules = [PolicyTrial(name, fold.number) for fold in prepared.folds for name in config.rules]
    agents = [
        PolicyTrial(name, fold.number, seed)
        for fold in prepared.folds
        for name in config.agents
        for seed in config.seed_list
    ]
    return rules + agents


def fold_of(prepared: Prepared, trial: PolicyTrial) -> Fold:
    """The fold a trial belongs to."""
    return prepared.folds[trial.fold]


def play(prepared: Prepared, trial: PolicyTrial, place: Place) -> dict[str, Any]:
    """Backtest a rule on its fold's test span, or an agent that is trained first; the row of its result."""
    if trial.seed is None:
        market, table = prepared.cut(fold_of(prepared, trial).test)
        result = _backtest(prepared, trial, made_rule(prepared.config, trial.policy), market, table)
    else:
        result = _train_and_play(prepared, trial, place)
    save_result(result, place.folder / RESULT)
    if place.run is not None:
        place.run.log_figure(result.plot(), "equity.png")
    return dict(result.row)


def _train_and_play(prepared: Prepared, trial: PolicyTrial, place: Place) -> BacktestResult:
    """Train an agent on its fold's training span, choose its checkpoint on validation, backtest it on test."""
    from gearing.agents import train_agent

    config, fold = prepared.config, fold_of(prepared, trial)
    agent = config.agents[trial.policy]
    columns = agent_columns(config, trial.policy)
    for span in (fold.train, fold.validate, fold.test):
        prepared.refuse_in_sample(span)
    trained = train_agent(
        {
            "algorithm": agent.algorithm,
            "n_accounts": agent.envs,
            "total_decisions": agent.steps,
            "episode": agent.episode_length,
            **agent.settings,
        },
        *prepared.cut(fold.train, columns),
        config.simulation(trial.policy, action=agent_scheme(config, agent), reward=agent.reward),
        seed=int(trial.seed or 0),
        validation=prepared.cut(fold.validate, columns),
        checkpoint_dir=place.folder / "checkpoint",
        resume=True,
        run=place.run,
        progress=place.progress,
    )
    trained.policy.save(place.folder / POLICY)
    (place.folder / VALIDATION).write_text(json.dumps({"score": trained.validation_score}), encoding="utf-8")
    return _backtest(prepared, trial, trained.policy, *prepared.cut(fold.test, columns))


def agent_scheme(config: StudyConfig, agent: Agent) -> Any:
    """The action scheme of an agent; a residual one with its base rule."""
    if agent.action != "residual":
        return agent.action
    return ResidualScheme(config.decision.max_leverage, base_rule(config, agent))


def _backtest(prepared: Prepared, trial: PolicyTrial, policy: Any, market: Any, table: Any) -> BacktestResult:
    settings = prepared.config.simulation_settings(trial.policy)
    return backtest(policy, market, table, name=trial.label, **settings)


# --- results on disk ----------------------------------------------------------------------------------------------


def save_result(result: BacktestResult, path: Path) -> None:
    """Write what a policy did, decision by decision."""
    optional = {"distance": result.distance, "acted": result.acted}
    arrays = {
        "time": result.time, "equity": result.equity, "target": result.target, "leverage": result.leverage,
        "mark": result.mark, "steps": np.asarray(result.steps), "ledgers": np.asarray(result.ledgers),
        "ruined": result.ruined, "slots": np.array(result.slots), "notes": np.array(result.notes, dtype=np.str_),
    }  # fmt: skip
    arrays |= {name: array for name, array in optional.items() if array is not None}
    write_arrays(path, arrays, compressed=True)


def load_result(name: str, path: Path, config: Any) -> BacktestResult:
    """Read back what a policy did."""
    with np.load(path) as kept:
        arrays = {name: kept[name] for name in kept.files}
    for name_ in ("steps", "ledgers"):
        arrays[name_] = arrays[name_].view(np.recarray)
    return BacktestResult(
        name=name, ruined=bool(arrays.pop("ruined")), slots=tuple(arrays.pop("slots").tolist()),
        notes=tuple(arrays.pop("notes").tolist()), config=config, **arrays,
    )  # fmt: skip


def daily_growth(result: BacktestResult) -> np.ndarray:
    """Daily log growth of a result, what inference works on."""
    return daily_log_growth(result.time, result.equity)
