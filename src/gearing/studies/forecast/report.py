"""What a comparison of forecasters found: scores, a line, JSON, and the chosen model as a file."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from gearing.forecasters.walk_forward import Forecast
from gearing.market import MarketData
from gearing.studies.forecast.config import ForecastConfig

_LEVEL = 0.05
SHOWN = ("qlike", "ratio_before", "ratio_after", "ratio_to_ridge", "dm_t", "dm_dow_t", "mcs_p", "coverage")


@dataclass(frozen=True, eq=False)
class ForecastReport:
    """Result of ``run_forecast``; rows of its tables are contracts and models.

    Contract "all" is the mean over contracts on common moments, where there are several.
    """

    config: ForecastConfig
    table: pd.DataFrame  # scores
    by_year: pd.DataFrame  # ratio of QLIKE to the reference's, one column per year
    excursions: pd.DataFrame | None  # scores of touch probabilities and of their baselines
    chosen: str  # model of least QLIKE before config.choose_before
    judged: str  # contract (or "all") whose scores decide and are named in the result
    forecasts: Mapping[str, Mapping[str, Forecast]]  # symbol to model, out of sample, on common rows
    markets: Mapping[str, MarketData]

    @property
    def n_configurations(self) -> int:
        """Configurations tried on the years of choosing, this run's included."""
        return self.config.tried_before + len(self.config.models) + len(self.config.combinations)

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

    @property
    def shown(self) -> pd.DataFrame:
        """The scores that a reader looks at first, best model first."""
        columns = [f"ratio_to_{self.config.reference}", *SHOWN]
        return self.table[[c for c in columns if c in self.table]].sort_values(["contract", "qlike"])

    @property
    def conclusions(self) -> tuple[list[str], list[str]]:
        """What can be concluded of the chosen model, and what cannot."""
        row: Any = self.table.loc[(self.judged, self.chosen)]
        can, cannot = [], []
        for label, other in (("dm", self.config.reference), ("dm_dow", "har_dow"), ("dm_ridge", "ridge")):
            t, p = row.get(f"{label}_t", math.nan), row.get(f"{label}_p", math.nan)
            if t != t or other == self.chosen:
                continue
            text = f"Diebold-Mariano t {t:+.2f}, p {p:.3f}"
            if p < _LEVEL:
                can.append(
                    f"{self.chosen} loses {'less' if t < 0.0 else 'more'} QLIKE than {other} ({text})."
                )
            else:
                cannot.append(f"Whether {self.chosen} forecasts better than {other} is open ({text}).")
        rivals = [name for name, p in self.table.loc[self.judged]["mcs_p"].items() if p >= 2 * _LEVEL]
        if len(rivals) > 1:
            cannot.append(
                f"The best of {', '.join(map(str, rivals))} is not known: all are in the 90 % model confidence set."
            )
        cannot.append(
            f"{self.n_configurations} configurations were tried on the years before {self.config.choose_before}, which "
            "chose; only the years since then are a test."
        )
        return can, cannot

    def to_dict(self) -> dict[str, Any]:
        """What ``--json`` writes."""
        contracts = self.table.index.get_level_values(0).unique()
        touches = None if self.excursions is None else self.excursions.reset_index().to_dict("records")
        return {
            "experiment": self.config.name,
            "question": self.config.question,
            "chosen": self.chosen,
            "models": self._models(self.judged),
            "contracts": {c: self._models(c) for c in contracts if c != self.judged},
            "by_year": {c: plain_numbers(self.by_year.loc[c].T.to_dict()) for c in contracts},
            "excursions": touches,
            "configurations_tried": self.n_configurations,
            "data": {symbol: [market.fingerprint, *market.notes] for symbol, market in self.markets.items()},
            "config": self.config.model_dump(mode="json"),
        }

    def _models(self, contract: str) -> dict[str, dict[str, Any]]:
        level = f"coverage_{self.config.intervals.level * 100:g}"
        scores = self.table.loc[contract].rename(columns={"coverage": level})
        return {
            str(model): {**plain_numbers(row.to_dict()), "chosen": model == self.chosen}
            for model, row in scores.iterrows()
        }

    def final_model(self, contract: str | None = None) -> Any:
        """The chosen model's newest fit of a contract (default: the first), bias correction included."""
        return self._chosen(contract).last_model

    def recipe(self, contract: str | None = None) -> dict[str, Any]:
        """What the chosen model is and needs: members, columns of X in order, horizon, last refit."""
        made = self._chosen(contract)
        members = self.config.combinations.get(self.chosen, [self.chosen])
        recipes = [self.config.models[member].recipe for member in members]
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


def plain_numbers(row: dict[Any, Any]) -> dict[str, Any]:
    """Numbers that JSON can hold; what is missing becomes null."""
    return {str(key): _plain(value) for key, value in row.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return plain_numbers(value)
    if isinstance(value, int | float) or hasattr(value, "item"):
        return float(value) if math.isfinite(value) else None
    return value
