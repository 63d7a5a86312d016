"""What a forecasting experiment found: tables, a line, JSON and figures."""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gearing.forecasters.register import forecaster
from gearing.forecasters.walk_forward import Forecast
from gearing.studies.forecast.config import POOLED, ForecastConfig

if TYPE_CHECKING:
    import pandas as pd

SHOWN = (
    "qlike",
    "ratio_to_har",
    "ratio_before",
    "ratio_after",
    "ratio_to_ridge",
    "dm_t",
    "dm_dow_t",
    "mcs_p",
    "coverage",
)


@dataclass(frozen=True, eq=False)
class ForecastReport:
    """Result of ``run_forecast``.

    Attributes
    ----------
    config : ForecastConfig
    table : DataFrame, index (contract, model)
        Scores; contract "all" is the mean over contracts on common moments, where there are several.
    by_year : DataFrame, index (contract, model)
        Ratio of QLIKE to the reference's, one column per year.
    excursions : DataFrame or None
        Touch probabilities beside their baselines.
    chosen : str
        Model of least QLIKE before ``config.choose_before``.
    judged : str
        Contract (or "all") whose scores decide and are named in the result.
    forecasts : dict of symbol to dict of model to Forecast
        Out of sample, on common rows, with their stamps.
    data : dict of symbol to (fingerprint, notes ...)
    n_configurations : int
        Tried on the years of choosing, this run's included.
    """

    config: ForecastConfig
    table: pd.DataFrame
    by_year: pd.DataFrame
    excursions: pd.DataFrame | None
    chosen: str
    judged: str
    forecasts: dict[str, dict[str, Forecast]]
    data: dict[str, tuple[str, ...]]
    n_configurations: int

    @property
    def line(self) -> str:
        """The result in one readable line."""
        row: Any = self.table.loc[(self.judged, self.chosen)]
        reference = self.config.reference
        return (
            f"{self.config.name}: {self.chosen} has QLIKE {row['qlike']:.4f}, {row[f'ratio_to_{reference}']:.3f} of "
            f"{reference}'s ({row['ratio_before']:.3f} before {self.config.choose_before}, {row['ratio_after']:.3f} "
            f"since), model confidence set p {row['mcs_p']:.2f}, intervals cover {row.get('coverage', math.nan):.1%}; "
            f"{int(row['n_rows'])} forecasts, {self.n_configurations} configurations tried"
        )

    def __str__(self) -> str:
        parts = [self.config.question, self._shown().to_string(float_format="%.3f")]
        parts += ["", "QLIKE over the reference's, by year", self.by_year.to_string(float_format="%.3f")]
        if self.excursions is not None:
            parts += ["", "Touch probabilities", self.excursions.to_string(float_format="%.4f")]
        return "\n".join([*parts, "", self.line])

    def _shown(self) -> pd.DataFrame:
        columns = [c for c in SHOWN if c in self.table]
        return self.table[columns].sort_values(["contract", "qlike"])

    def to_dict(self) -> dict[str, Any]:
        """What ``--json`` writes."""
        contracts = self.table.index.get_level_values(0).unique()
        return {
            "experiment": self.config.name,
            "question": self.config.question,
            "chosen": self.chosen,
            "models": self._models(self.judged),
            "contracts": {c: self._models(c) for c in contracts if c != self.judged},
            "by_year": {c: _plain(self.by_year.loc[c].T.to_dict()) for c in contracts},
            "excursions": None
            if self.excursions is None
            else self.excursions.reset_index().to_dict("records"),
            "configurations_tried": self.n_configurations,
            "data": {symbol: list(facts) for symbol, facts in self.data.items()},
            "config": self.config.model_dump(mode="json"),
        }

    def _models(self, contract: str) -> dict[str, dict[str, Any]]:
        level = f"coverage_{self.config.intervals.level * 100:g}"
        found = {}
        for model, row in self.table.loc[contract].iterrows():
            scores = {
                level if key == "coverage" else key: value for key, value in _plain(row.to_dict()).items()
            }
            found[str(model)] = {**scores, "chosen": model == self.chosen}
        return found

    def final_model(self, contract: str | None = None) -> Any:
        """The chosen model's newest fit, bias correction included; None where it came from a cache.

        Parameters
        ----------
        contract : str, optional
            Default: the first one. Pooled models are the same for all.
        """
        return self._chosen(contract).last_model

    def recipe(self, contract: str | None = None) -> dict[str, Any]:
        """What the chosen model is and needs: members, columns of X in order, horizon, last refit."""
        made = self._chosen(contract)
        members = self.config.combinations.get(self.chosen, [self.chosen])
        recipes = [forecaster(member.removesuffix(POOLED)) for member in members]
        return {
            "chosen": self.chosen,
            "members": members,
            "columns": list(made.rows.columns),
            "horizon": self.config.horizon,
            "exports": all(one.exports for one in recipes) and made.last_model is not None,
            "needs": sorted({one.needs for one in recipes}),
            "fitted_until": str(made.fitted_until.max()),
        }

    def _chosen(self, contract: str | None) -> Forecast:
        return self.forecasts[contract or next(iter(self.forecasts))][self.chosen]


def log_report(run: Any, report: ForecastReport) -> None:
    """Send a report to a tracked run: parameters, metrics, tables, figures, forecasts and the exported model."""
    run.log_params({**report.config.model_dump(mode="json"), "chosen": report.chosen})
    scores: dict[Any, dict[str, Any]] = report.table.to_dict("index")
    run.log_metrics(
        {
            f"{contract}.{model}.{key}": value
            for (contract, model), row in scores.items()
            for key, value in _plain(row).items()
            if value is not None
        }
    )
    if hasattr(run, "log_dataset"):
        for symbol, (fingerprint, *notes) in report.data.items():
            run.log_dataset(symbol, fingerprint, context="walk-forward", notes="; ".join(notes))
    if hasattr(run, "log_figure"):
        from gearing.studies.forecast.figures import report_figures

        for name, figure in report_figures(report).items():
            run.log_figure(figure, f"{name}.png")
    if hasattr(run, "log_artifact"):
        _log_files(run, report)


def _log_files(run: Any, report: ForecastReport) -> None:
    with tempfile.TemporaryDirectory() as draft:
        folder = Path(draft)
        report.table.reset_index().to_parquet(folder / "scores.parquet")
        out_of_sample(report).to_parquet(folder / "forecasts.parquet")
        (folder / "report.txt").write_text(str(report))
        for path in sorted(folder.iterdir()):
            run.log_artifact(path)
        _log_model(run, report, folder)


def _log_model(run: Any, report: ForecastReport, folder: Path) -> None:
    """Register every contract's newest fit of the chosen recipe, with the recipe beside it."""
    if not hasattr(run, "log_model"):
        return
    for contract in report.forecasts:
        recipe, beside = report.recipe(contract), folder / contract
        if not recipe["exports"]:
            continue
        beside.mkdir()
        (beside / "recipe.json").write_text(json.dumps(recipe, indent=1))
        graph = beside / "forecaster.onnx"
        graph.write_bytes(report.final_model(contract).to_onnx().SerializeToString())
        name = f"{report.config.name}-{contract}"
        run.log_model(graph, f"forecaster-{contract}", beside=beside, register_as=name, aliases=["newest"])


def out_of_sample(report: ForecastReport) -> pd.DataFrame:
    """Every forecast with its stamps: known_at, ends_at, fitted_until, realised, and one column per model."""
    import pandas as pd

    parts = []
    for symbol, models in report.forecasts.items():
        first = next(iter(models.values()))
        frame = pd.DataFrame(
            {
                "contract": symbol,
                "known_at": first.rows.known_at,
                "ends_at": first.rows.ends_at,
                "fitted_until": first.fitted_until,
                "realised": first.rows.y,
            }
        )
        parts.append(frame.assign(**{name: made.value for name, made in models.items()}))
    return pd.concat(parts, ignore_index=True)


def _plain(row: dict[Any, Any]) -> dict[str, Any]:
    """Numbers JSON can hold; what is not there becomes null."""
    plain: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, dict):
            plain[str(key)] = _plain(value)
        elif isinstance(value, int | float) or hasattr(value, "item"):
            number = float(value)
            plain[str(key)] = number if math.isfinite(number) else None
        else:
            plain[str(key)] = value
    return plain
