"""Exporting a study's agent, with the inputs of one decision beside it, so that it can be asked at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gearing.evaluation.columns import FORECAST
from gearing.studies.study.prepare import Prepared, agent_columns
from gearing.studies.study.trials import POLICY, VALIDATION, PolicyTrial, agent_scheme, trials_of
from gearing.studies.work import Work

if TYPE_CHECKING:
    import pandas as pd

    from gearing.export.decision import Decision
    from gearing.market.data import MarketData

BUNDLE, INPUTS = "bundle", "decide"


def best_trial(prepared: Prepared, name: str, work: Work) -> tuple[PolicyTrial, Path]:
    """The seed of the newest fold that did best on validation, and its folder; the test span has no say."""
    newest = max(fold.number for fold in prepared.folds)
    trials = [t for t in trials_of(prepared) if t.policy == name and t.fold == newest]
    results = work.results(trials)
    best = max(results, key=lambda result: validation_score(result.folder))
    return best.trial, best.folder


def validation_score(folder: Path) -> float:
    """Validation score that a trained agent left in its folder."""
    return float(json.loads((folder / VALIDATION).read_text(encoding="utf-8"))["score"])


def export_agent(prepared: Prepared, name: str, work: Work) -> Path:
    """Write the bundle of an agent into the study's folder, and the inputs of a decision beside it."""
    from gearing.agents import load_policy
    from gearing.export import export_bundle

    config, agent = prepared.config, prepared.config.agents[name]
    trial, source = best_trial(prepared, name, work)
    columns = agent_columns(config, name)
    bundle = export_bundle(
        load_policy(source / POLICY),
        work.folder / BUNDLE,
        market=prepared.market,
        table=prepared.table.select(columns),
        config=config.simulation(name, action=agent_scheme(config, agent), reward=agent.reward),
        forecasts=[prepared.forecast] if prepared.forecast is not None and FORECAST in columns else [],
        name=f"{config.name}-{name}",
        provenance={
            "study": config.name,
            "digest": config.digest,
            "seed": trial.seed,
            "fold": str(prepared.folds[trial.fold]),
            "validation_log_growth_per_year": validation_score(source),
        },
        overwrite=True,
    )
    _write_inputs(prepared.market, bundle, work.folder / INPUTS, config.decision.initial_equity)
    return bundle


def export_from_folder(folder: Path, agent: str | None = None) -> Path:
    """Export an agent of a finished study, read back from its folder.

    Raises
    ------
    ValueError
        If the folder is no study's, or the agent is not among its agents.
    """
    from gearing.studies.reading import load_study
    from gearing.studies.study.prepare import prepare

    if not (folder / "experiment.yaml").is_file():
        raise ValueError(
            f"{folder} holds no experiment.yaml; give the folder that `gearing study` prints as results."
        )
    config = load_study(folder / "experiment.yaml")
    names = list(config.agents)
    if agent is None and len(names) == 1:
        agent = names[0]
    if agent not in names:
        raise ValueError(
            f"agent {agent!r} is not in this study; choose one with --agent: {', '.join(names) or 'none'}."
        )
    prepared, work = prepare(config, folder), Work(config, folder)
    work.on(prepared.named_market)
    return export_agent(prepared, agent, work)


def _write_inputs(market: MarketData, bundle: Path, folder: Path, equity: float) -> None:
    from gearing.export import load_bundle

    folder.mkdir(exist_ok=True)
    count = min(load_bundle(bundle).lookback_bars + int(np.timedelta64(1, "D") // market.bar), market.n_bars)
    recent = market.between(market.open_time[-count])
    bars_table(recent).to_parquet(folder / "bars.parquet")
    funding_table(recent).to_parquet(folder / "funding.parquet")
    account = {"wallet_balance": equity, "positions": {}}
    (folder / "account.json").write_text(json.dumps(account, indent=1) + "\n", encoding="utf-8")


def bars_table(market: MarketData) -> pd.DataFrame:
    """Bars as ``Bundle.decide`` reads them."""
    import pandas as pd

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
    import pandas as pd

    names = np.array(market.symbols)
    cash = market.settlements
    return pd.DataFrame({"time": cash["time"], "rate": cash["rate"], "contract": names[cash["contract"]]})


def example_decision(folder: Path) -> Decision:
    """What a study's bundle decides on the last bars of the study's market, with an empty account."""
    from gearing.export import load_bundle

    inputs = folder / INPUTS
    return load_bundle(folder / BUNDLE).decide(
        inputs / "bars.parquet", inputs / "account.json", inputs / "funding.parquet"
    )
