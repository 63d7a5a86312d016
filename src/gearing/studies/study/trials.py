"""One trial: one policy, one fold, one seed, with its result on disk before anything counts as done."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gearing.evaluation.backtesting import backtest
from gearing.evaluation.metrics import daily_log_growth
from gearing.evaluation.result import BacktestResult
from gearing.exchange.records import step_dtype
from gearing.simulation.actions import ResidualScheme
from gearing.storage.atomic import write_arrays, write_json
from gearing.studies.folds import Fold
from gearing.studies.sections import Agent
from gearing.studies.study.config import StudyConfig
from gearing.studies.study.prepare import Prepared, agent_columns, base_rule, made_rule

POLICY, VALIDATION = "policy", "validation.json"  # what a trained agent leaves in its folder


@dataclass(frozen=True)
class Trial:
    """What is run: a rule has no seed."""

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


def trials_of(prepared: Prepared) -> list[Trial]:
    """All trials of a study, rules first."""
    config = prepared.config
    rules = [Trial(name, fold.number) for fold in prepared.folds for name in config.rules]
    agents = [
        Trial(name, fold.number, seed)
        for fold in prepared.folds
        for name in config.agents
        for seed in config.seed_list
    ]
    return rules + agents


def fold_of(prepared: Prepared, trial: Trial) -> Fold:
    """The fold a trial belongs to."""
    return prepared.folds[trial.fold]


def play_rule(prepared: Prepared, trial: Trial) -> BacktestResult:
    """Backtest a rule on its fold's test span."""
    market, table = prepared.cut(fold_of(prepared, trial).test)
    rule = made_rule(prepared.config, trial.policy)
    return _backtest(prepared, trial, rule, market, table)


def train_and_play(
    prepared: Prepared, trial: Trial, folder: Path, run: Any, progress: bool
) -> BacktestResult:
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
        checkpoint_dir=folder / "checkpoint",
        resume=True,
        run=run,
        progress=progress,
    )
    trained.policy.save(folder / POLICY)
    (folder / VALIDATION).write_text(json.dumps({"score": trained.validation_score}), encoding="utf-8")
    return _backtest(prepared, trial, trained.policy, *prepared.cut(fold.test, columns))


def agent_scheme(config: StudyConfig, agent: Agent) -> Any:
    """The action scheme of an agent; a residual one with its base rule."""
    if agent.action != "residual":
        return agent.action
    return ResidualScheme(config.decision.max_leverage, base_rule(config, agent))


def _backtest(prepared: Prepared, trial: Trial, policy: Any, market: Any, table: Any) -> BacktestResult:
    settings = prepared.config.simulation_settings(trial.policy)
    return backtest(policy, market, table, name=trial.label, **settings)


# --- results on disk ----------------------------------------------------------------------------------------------


def save_result(result: BacktestResult, trial: Trial, folder: Path) -> None:
    """Write a trial's result; the JSON comes last, so a result is whole or absent."""
    place = folder / trial.name
    optional = {"distance": result.distance, "acted": result.acted}
    arrays = {
        "time": result.time, "equity": result.equity, "target": result.target, "leverage": result.leverage,
        "mark": result.mark, "steps": np.asarray(result.steps), "ledgers": np.asarray(result.ledgers),
    }  # fmt: skip
    arrays |= {name: array for name, array in optional.items() if array is not None}
    write_arrays(place.with_suffix(".npz"), arrays, compressed=True)
    told = {
        "policy": trial.policy, "fold": trial.fold, "seed": trial.seed, "ruined": result.ruined,
        "slots": list(result.slots), "notes": list(result.notes), "row": result.row,
    }  # fmt: skip
    write_json(place.with_suffix(".json"), told)


def is_done(trial: Trial, folder: Path) -> bool:
    """Whether the trial's result is on disk."""
    return (folder / f"{trial.name}.json").exists()


def load_result(trial: Trial, folder: Path, config: Any) -> BacktestResult:
    """Read a trial's result back."""
    told = json.loads((folder / f"{trial.name}.json").read_text(encoding="utf-8"))
    with np.load(folder / f"{trial.name}.npz") as kept:
        arrays = {name: kept[name] for name in kept.files}
    arrays["steps"] = _with_extremes(arrays["steps"])
    for name in ("steps", "ledgers"):
        arrays[name] = arrays[name].view(np.recarray)
    return BacktestResult(
        name=trial.label, ruined=told["ruined"], slots=tuple(told["slots"]), notes=tuple(told["notes"]),
        config=config, **arrays,
    )  # fmt: skip


def _with_extremes(steps: np.ndarray) -> np.ndarray:
    """Steps in today's layout; results kept before bars' extremes were recorded know equity at decisions only."""
    if "lowest" in (steps.dtype.names or ()):
        return steps
    full = np.zeros(steps.shape, step_dtype)
    for name in steps.dtype.names or ():
        full[name] = steps[name]
    full["lowest"] = np.minimum(steps["equity_before"], steps["equity"])
    full["highest"] = np.maximum(steps["equity_before"], steps["equity"])
    full["drawdown"] = 1.0 - full["lowest"] / np.maximum(full["equity_before"], full["lowest"])
    return full


def daily_growth(result: BacktestResult) -> np.ndarray:
    """Daily log growth of a result, what inference works on."""
    return daily_log_growth(result.time, result.equity)
