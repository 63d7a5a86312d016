"""Exporting a study's agent, with the inputs of one decision, so that it can be tried at once."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gearing.evaluation.columns import FORECAST
from gearing.export import BundleError, load_bundle
from gearing.export.bundle.files import MANIFEST
from gearing.export.deciding.decision import Decision
from gearing.export.reading.moment import LAST_BAR
from gearing.market.data import MarketData
from gearing.names import check_file_name
from gearing.storage.atomic import write_atomically, write_text
from gearing.storage.digest import code_digest
from gearing.storage.text import read_json
from gearing.studies.study.columns import agent_columns
from gearing.studies.study.config import StudyConfig, load_study
from gearing.studies.study.learning import training_settings
from gearing.studies.study.prepare import Prepared, prepare
from gearing.studies.study.trials import POLICY, VALIDATION, PolicyTrial, trials_of
from gearing.studies.trials import Result
from gearing.studies.work import Work

BUNDLE, INPUTS = "bundle", "decide"


def best_result(prepared: Prepared, name: str, work: Work) -> Result:
    """The result of the newest fold that did best on validation; the test span has no say."""
    newest = max(fold.number for fold in prepared.folds)
    trials = [trial for trial in trials_of(prepared) if trial.policy == name and trial.fold == newest]
    results = work.results(trials)
    if len(results) < len(trials):
        missing = len(trials) - len(results)
        raise ValueError(
            f"{missing} of {len(trials)} trainings of {name} are missing; finish the study first."
        )
    scores = [result.summary[VALIDATION] for result in results]  # None where the last weights were taken
    return results[int(np.argmax([-np.inf if score is None else score for score in scores]))]


def export_agent(prepared: Prepared, name: str, work: Work) -> Path:
    """The bundle of an agent in the study's folder, with the inputs of a decision; written unless it is there.

    See `place` for where: no agent's bundle replaces another's.
    """
    from gearing.agents import load_policy
    from gearing.export import export_bundle

    config, best = prepared.config, best_result(prepared, name, work)
    trial: PolicyTrial = best.trial
    provenance = _provenance(config, best)
    bundle = place(config, name, work.folder)
    if _is_exported(bundle, inputs_of(bundle), provenance):
        return bundle
    columns = agent_columns(config, name, trial.direction)
    ((account, market),) = prepared.markets.items()
    export_bundle(
        load_policy(best.folder / POLICY),
        bundle,
        market=market,
        table=prepared.tables[account].select(columns),
        config=training_settings(config, name, trial.direction),
        forecasts=list(prepared.forecasts.values()) if FORECAST in columns else [],
        name=bundle_name(config, name),
        provenance=provenance,
        overwrite=True,
    )
    _write_inputs(market, bundle, inputs_of(bundle), config.decision.initial_equity)
    return bundle


def place(config: StudyConfig, name: str, folder: Path) -> Path:
    """Folder of an agent's bundle in a study's folder.

    That of the agent which the study exports, or of its only one, is ``bundle``, unless another agent's bundle is there
    from before; others are in ``bundle-NAME``.
    """
    own = folder / check_file_name(f"{BUNDLE}-{name}", "the agent's folder")
    main = config.export or (next(iter(config.agents)) if len(config.agents) == 1 else None)
    there = _name_in(folder / BUNDLE)
    return folder / BUNDLE if name == main and there in (None, bundle_name(config, name)) else own


def bundle_name(config: StudyConfig, name: str) -> str:
    """Name of an agent's policy in its bundle."""
    return f"{config.name}-{name}"


def inputs_of(bundle: Path) -> Path:
    """Folder of the inputs that a study writes with a bundle."""
    return bundle.with_name(bundle.name.replace(BUNDLE, INPUTS, 1))


def _name_in(bundle: Path) -> str | None:
    """Name of the policy in a bundle; None where there is none, or a damaged one."""
    try:
        return str(read_json(bundle / MANIFEST, dict).get("name"))
    except ValueError:
        return None


def _provenance(config: StudyConfig, best: Result) -> dict[str, Any]:
    trial: PolicyTrial = best.trial
    return {
        "study": config.name,
        "digest": config.digest,
        "trial": best.folder.name,
        "code": best.code,
        "exported_by": code_digest(),
        "seed": trial.seed,
        "fold": trial.spans,
        "validation_log_growth_per_year": best.summary[VALIDATION],
    }


def _is_exported(bundle: Path, inputs: Path, provenance: dict[str, Any]) -> bool:
    """Whether a whole and unchanged bundle of that training is there, with the inputs of a decision."""
    if not all((inputs / name).is_file() for name in ("bars.parquet", "funding.parquet", "account.json")):
        return False
    try:
        found = load_bundle(bundle).manifest.provenance
    except (BundleError, OSError):
        return False
    return {name: found.get(name) for name in provenance} == provenance


def export_from_folder(folder: Path, agent: str | None = None) -> Path:
    """Export an agent of a finished study, read back from its folder.

    Raises
    ------
    ValueError
        If the folder is no study's, or the agent is not among its agents.
    """
    if not (folder / "experiment.yaml").is_file():
        raise ValueError(
            f"{folder} holds no experiment.yaml; give the folder that `gearing study` prints as results."
        )
    config = load_study(folder / "experiment.yaml")
    agent = _chosen(list(config.agents), agent, folder)
    if config.groups is not None:
        raise ValueError(f"{folder} is a study with groups, which exports no agent.")
    work = Work(config.model_copy(update={"reuse": True}), folder)
    return export_agent(prepare(config, work), agent, work)


def _chosen(names: list[str], agent: str | None, folder: Path) -> str:
    if not names:
        raise ValueError(f"{folder}: this study trained no agent, so there is none to export.")
    if agent is None and len(names) > 1:
        raise ValueError(
            f"{folder}: this study trained several agents; choose one with --agent: {', '.join(names)}."
        )
    if agent is not None and agent not in names:
        raise ValueError(
            f"agent {agent!r} is not in this study; choose one with --agent: {', '.join(names)}."
        )
    return agent or names[0]


def _write_inputs(market: MarketData, bundle: Path, folder: Path, equity: float) -> None:
    folder.mkdir(exist_ok=True)
    count = min(load_bundle(bundle).lookback_bars + int(np.timedelta64(1, "D") // market.bar), market.n_bars)
    recent = market.between(market.open_time[-count])
    write_atomically(folder / "bars.parquet", bars_table(recent).to_parquet)
    write_atomically(folder / "funding.parquet", funding_table(recent).to_parquet)
    account = {"wallet_balance": equity, "positions": {}}
    write_text(folder / "account.json", json.dumps(account, indent=1) + "\n")


def bars_table(market: MarketData) -> pd.DataFrame:
    """Bars as ``Bundle.decide`` reads them."""
    parts = []
    for j, symbol in enumerate(market.symbols):
        columns: dict[str, Any] = {"open_time": market.open_time, "contract": symbol}
        for k, price in enumerate(("open", "high", "low", "close")):
            columns[price] = market.last[:, j, k]
            columns[f"mark_{price}"] = market.mark[:, j, k]
        columns["volume"] = market.volume[:, j]
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def funding_table(market: MarketData) -> pd.DataFrame:
    """Settlements as ``Bundle.decide`` reads them."""
    names = np.array(market.symbols)
    cash = market.settlements
    return pd.DataFrame({"time": cash["time"], "rate": cash["rate"], "contract": names[cash["contract"]]})


def example_decision(folder: Path, bundle: Path | None = None) -> Decision:
    """What a study's bundle decides on the last bars of the study's market, with an empty account."""
    bundle = bundle or folder / BUNDLE
    inputs = inputs_of(bundle)
    return load_bundle(bundle).decide(
        inputs / "bars.parquet", inputs / "account.json", inputs / "funding.parquet", now=LAST_BAR
    )
