"""Forecasters compared out of sample: every model walks through every contract and is scored on the same rows."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gearing.forecasters.rows import Rows, forecast_rows
from gearing.forecasters.saved import library_versions, load_forecast, save_forecast
from gearing.forecasters.targets import finer_future_variance, future_variance
from gearing.forecasters.walk_forward import Forecast, walk_forward
from gearing.market import MarketData
from gearing.studies.experiment import Findings, experiment
from gearing.studies.forecast.config import ForecastConfig
from gearing.studies.forecast.figures import report_figures
from gearing.studies.forecast.judging import judge
from gearing.studies.forecast.report import ForecastReport
from gearing.studies.recording.metrics import numbers_of, of_policies
from gearing.studies.recording.models import EXAMPLE, RECIPE
from gearing.studies.trials import Place, Result, Trial
from gearing.studies.work import Work

_SHARED = ("market", "horizon", "every", "target", "schedule")  # settings that every walk depends on


@dataclass(frozen=True)
class Walk(Trial):
    """A model walked through a contract; a pooled one, without a contract, through all of them."""

    model: str
    contract: str | None = None

    @property
    def run_name(self) -> str:
        """Name of its tracked run."""
        return f"{self.model} {self.contract or 'pooled'}"

    @property
    def about(self) -> str:
        """What it is, as the begin of a sentence."""
        return f"Forecaster `{self.model}` walked forward through {self.contract or 'all contracts'}"

    def tags(self, config: Any) -> dict[str, Any]:
        """What tells it apart, and its contracts."""
        contracts = [self.contract] if self.contract else [*config.market.contracts, *config.market.pool]
        return {"policy": self.model, "policy_kind": "forecaster", "contract": ", ".join(contracts)}

    def parameters(self, config: Any) -> dict[str, Any]:
        """Settings of the model, its columns, the target and the schedule."""
        model = config.models[self.model]
        shared = config.model_dump(mode="json", include={"horizon", "every", "target", "schedule"})
        return {**shared, **model.model_dump(mode="json"), "columns": ", ".join(model.recipe.columns)}

    def settings(self, config: Any) -> dict[str, Any]:
        """Those of the model, the rows and the schedule, and the versions of libraries."""
        shared = {name: config.settings[name] for name in _SHARED} | {"libraries": library_versions()}
        return {**shared, "columns": config.columns, "model": config.settings["models"][self.model]}

    def data(self, config: Any, fingerprints: Mapping[str, str]) -> Mapping[str, str]:
        """The contract's, or all."""
        return fingerprints if self.contract is None else {self.contract: fingerprints[self.contract]}


@experiment(ForecastConfig)
def forecast(config: ForecastConfig, work: Work) -> Findings:
    """Tables: ``scores`` of every contract and model; ``years``, QLIKE over the reference's year by year;
    ``excursions``, touch probabilities; ``forecasts``, all of them with what was realised.
    """
    markets = config.market.each([*config.market.contracts, *config.market.pool])
    report = run_forecast(config, work, markets)
    return replace(
        findings_of(report, work.folder), trial_metrics=_trial_metrics(report, work.results(_trials(config)))
    )


def run_forecast(config: ForecastConfig, work: Work, markets: Mapping[str, MarketData]) -> ForecastReport:
    """Forecast, score and choose; ``markets`` have one contract each: the config's, then those of the pool."""
    work.on(markets)
    made = _walks(config, work, problem_rows(config, markets))
    made |= {name: _combined([made[m] for m in members]) for name, members in config.combinations.items()}
    excursions = None
    if config.excursions is not None:
        from gearing.studies.forecast.excursions import excursion_table  # which needs scikit-learn

        excursions = work.part("excursions", lambda: excursion_table(config, markets))
    return judge(config, markets, _aligned(made), excursions)


def problem_rows(config: ForecastConfig, markets: Mapping[str, MarketData]) -> dict[str, Rows]:
    """Rows with the columns of all models, so that every model has the same rows; by symbol."""
    measure = finer_future_variance if config.target == "finer" else future_variance
    found = {}
    for number, (symbol, market) in enumerate(markets.items()):
        target = measure(market, config.horizon)
        rows = forecast_rows(market, config.columns, config.horizon, config.every, target)
        rows = rows.take(rows.known_at >= rows.known_at[np.isfinite(rows.y)].min())
        found[symbol] = replace(rows, contract=np.full(len(rows), number))
    return found


def _walks(config: ForecastConfig, work: Work, rows: Mapping[str, Rows]) -> dict[str, dict[str, Forecast]]:
    """Model to symbol to forecast."""
    numbers = {symbol: number for number, symbol in enumerate(rows)}
    made: dict[str, dict[str, Forecast]] = {name: {} for name in config.models}
    for trial, whole in work.stored(_trials(config), partial(_walk, config, rows), load_forecast):
        for symbol in config.market.contracts:
            if trial.contract in (None, symbol):
                made[trial.model][symbol] = whole.take(whole.rows.contract == numbers[symbol])
    return made


def _trials(config: ForecastConfig) -> list[Walk]:
    return [
        Walk(name, contract)
        for name, model in config.models.items()
        for contract in ([None] if model.pooled else config.market.contracts)
    ]


def _trial_metrics(
    report: ForecastReport, results: Iterable[Result]
) -> list[tuple[Result, dict[str, float]]]:
    """Scores of every walk: forecasts are compared on the rows that all models have."""
    return [
        (result, numbers_of(report.table.loc[(result.trial.contract or report.judged, result.trial.model)]))
        for result in results
    ]


def _walk(config: ForecastConfig, rows: Mapping[str, Rows], trial: Walk, place: Place) -> dict[str, Any]:
    """Leave the forecast in the trial's folder."""
    model = config.models[trial.model]
    mine = [one for symbol, one in rows.items() if trial.contract in (None, symbol)]
    whole = Rows.stacked([_with_columns(one, model.recipe.columns) for one in mine])
    made = walk_forward(model.recipe.estimator(**model.settings), whole, config.schedule.refits(config.every))
    save_forecast(made, model.recipe, place.folder)
    return {"forecasts": len(made.value)}


def _with_columns(rows: Rows, columns: Iterable[str]) -> Rows:
    at = [rows.columns.index(name) for name in columns]
    return replace(rows, X=np.ascontiguousarray(rows.X[:, at]), columns=tuple(columns))


def _combined(members: list[dict[str, Forecast]]) -> dict[str, Forecast]:
    """Geometric mean of the members' forecasts of the same rows; its stamp is the latest of theirs."""
    combined = {}
    for symbol in members[0]:
        parts = _common([member[symbol] for member in members])
        value = np.exp(np.mean([np.log(part.value) for part in parts], axis=0))
        stamp = np.max([part.fitted_until for part in parts], axis=0)
        combined[symbol] = Forecast(parts[0].rows, value, stamp, _averaged(parts))
    return combined


def _averaged(parts: list[Forecast]) -> Any:
    """The members' newest fits as one, where they read the same columns; else None."""
    from gearing.forecasters.models.scaled import AveragedForecaster

    same = all(part.rows.columns == parts[0].rows.columns for part in parts)
    models = [part.last_model for part in parts]
    return AveragedForecaster(models) if same and None not in models else None


def _aligned(made: Mapping[str, Mapping[str, Forecast]]) -> dict[str, dict[str, Forecast]]:
    """Symbol to model to forecast, every model on the rows that all models have."""
    symbols = next(iter(made.values())).keys()
    return {s: dict(zip(made, _common([made[m][s] for m in made]), strict=True)) for s in symbols}


def _common(parts: list[Forecast]) -> list[Forecast]:
    times = parts[0].rows.known_at
    for part in parts[1:]:
        times = np.intersect1d(times, part.rows.known_at)
    return [part.take(np.isin(part.rows.known_at, times)) for part in parts]


def findings_of(report: ForecastReport, folder: Path) -> Findings:
    """A report as what an experiment found; the chosen model of every contract is written to the folder."""
    tables = {"scores": report.table, "years": report.by_year}
    if report.excursions is not None:
        tables["excursions"] = report.excursions
    tables["forecasts"] = out_of_sample(report).set_index(["contract", "known_at"])
    scores: dict[Any, dict[str, Any]] = report.table.to_dict("index")
    rows = {f"{contract}/{model}": row for (contract, model), row in scores.items()}
    metrics = of_policies(rows, f"{report.judged}/{report.chosen}")
    can, cannot = report.conclusions
    return Findings(
        report.line, tables, report_figures(report), metrics, report.markets, printed={"scores": report.shown},
        models=_exported(report, folder / "models"), json=report.to_dict(), main=report.chosen,
        conclusions=tuple(can), limits=tuple(cannot),
    )  # fmt: skip


def _exported(report: ForecastReport, folder: Path) -> dict[str, Path]:
    """ONNX graph of every contract's newest fit of the chosen model, in a folder with its recipe."""
    graphs = {}
    for contract in report.forecasts:
        recipe, place = report.recipe(contract), folder / contract
        if not recipe["exports"]:
            continue
        place.mkdir(parents=True, exist_ok=True)
        rows = report.forecasts[contract][report.chosen].rows
        recipe[EXAMPLE] = dict(zip(rows.columns, rows.X[-1].tolist(), strict=True))
        (place / RECIPE).write_text(json.dumps(recipe, indent=1))
        graphs[contract] = place / "forecaster.onnx"
        graphs[contract].write_bytes(report.final_model(contract).to_onnx().SerializeToString())
    return graphs


def out_of_sample(report: ForecastReport) -> pd.DataFrame:
    """Every forecast with its stamps: known_at, ends_at, fitted_until, realised, and one column per model."""
    parts = []
    for symbol, models in report.forecasts.items():
        first = next(iter(models.values()))
        stamps = {
            "contract": symbol, "known_at": first.rows.known_at, "ends_at": first.rows.ends_at,
            "fitted_until": first.fitted_until, "realised": first.rows.y,
        }  # fmt: skip
        parts.append(pd.DataFrame({**stamps, **{name: made.value for name, made in models.items()}}))
    return pd.concat(parts, ignore_index=True)
