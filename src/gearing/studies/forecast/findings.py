"""A forecast report as the findings of an experiment: tables, figures, metrics and exported models."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from gearing.studies.experiment import Findings
from gearing.studies.forecast.figures import report_figures
from gearing.studies.forecast.report import ForecastReport, plain_numbers


def findings_of(report: ForecastReport, folder: Path) -> Findings:
    """A report as what an experiment found; the chosen model of every contract is written to the folder."""
    tables = {"scores": report.table, "years": report.by_year}
    if report.excursions is not None:
        tables["excursions"] = report.excursions
    tables["forecasts"] = out_of_sample(report).set_index(["contract", "known_at"])
    scores: dict[Any, dict[str, Any]] = report.table.to_dict("index")
    metrics = {
        f"{contract}.{model}.{key}": value
        for (contract, model), row in scores.items()
        for key, value in plain_numbers(row).items()
        if value is not None
    }
    return Findings(
        report.line, tables, report_figures(report), metrics, report.markets, printed={"scores": report.shown},
        models=_exported(report, folder / "models"), json=report.to_dict(),
    )  # fmt: skip


def _exported(report: ForecastReport, folder: Path) -> dict[str, Path]:
    """ONNX graph of every contract's newest fit of the chosen model, in a folder with its recipe."""
    graphs = {}
    for contract in report.forecasts:
        recipe, place = report.recipe(contract), folder / contract
        if not recipe["exports"]:
            continue
        place.mkdir(parents=True, exist_ok=True)
        (place / "recipe.json").write_text(json.dumps(recipe, indent=1))
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
