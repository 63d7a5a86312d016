"""Settings of an experiment on promises."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from gearing.forecasters.excursion_law.law import LEAST, MOST
from gearing.forecasters.excursion_law.scale import days_of
from gearing.names import check_names
from gearing.studies.experiment import ExperimentConfig
from gearing.studies.fields import Duration, Moment, Section, as_time
from gearing.studies.scored_market import ScoredMarket

MAIN = "calibrated"
OPPONENTS = ("pooled_simulation", "pooled_simulation_same_scale", "ewma_reflection", "touch_curve")
OPPONENT = OPPONENTS[0]
EVENTS = ("liquidated", "half lost")
Budget = Annotated[float, Field(ge=LEAST, le=MOST)]
Size = Annotated[float, Field(gt=0.0, lt=1.0)]


def _in_days(horizons: list[str]) -> list[str]:
    """Whole days, each once, ascending."""
    return [f"{days:g}d" for days in sorted({days_of(horizon) for horizon in horizons})]


def _known(names: list[str]) -> list[str]:
    check_names("no opponent", names, OPPONENTS)
    return list(dict.fromkeys(names))


class Touches(Section):
    """Log and Brier scores of touch probabilities at these adverse moves, by horizon."""

    sizes: dict[Duration, list[Size]] = Field(
        default={"1d": [0.02, 0.05, 0.10], "7d": [0.05, 0.10, 0.20], "30d": [0.10, 0.20, 0.40]}
    )


class Books(Section):
    """Books on cross margin under the control `risk_limit`: long, short and hedged ones of the scored contracts.

    Attributes
    ----------
    sizes : list of int
        Contracts of a book, in their order; 0 is one book of all. Empty: no books.
    """

    sizes: list[Annotated[int, Field(ge=0)]] = Field(default=[3, 0])

    @field_validator("sizes")
    @classmethod
    def _more_than_one(cls, sizes: list[int]) -> list[int]:
        if 1 in sizes:
            raise ValueError("a book has at least 2 contracts; 0 is a book of all.")
        return list(dict.fromkeys(sizes))


class PromisesConfig(ExperimentConfig):
    """Promised probabilities of liquidation and of losing half, refitted walking forward, against what came.

    Attributes
    ----------
    horizons : list of duration
        Whole days from 1d to 30d.
    budgets : list of float
    opponents : list of str
        Compared with "calibrated", the law that gearing uses. "pooled_simulation" is the plain pooled filtered
        simulation: one exponentially weighted variance, quantiles with a Pareto tail, no adaptation;
        "pooled_simulation_same_scale" the same under the law's own volatility; "ewma_reflection" the reflection
        principle; "touch_curve" a HAR forecast and a logistic curve of the contract's own past.
    score_from, score_to : moment
        Daily starts that are scored; ``score_to`` is the first left out, by default none.
    touches : Touches
    books : Books
    replications, seed
        Of the bootstrap.
    """

    kind: Literal["promises"] = "promises"
    market: ScoredMarket = ScoredMarket()
    horizons: Annotated[list[Duration], AfterValidator(_in_days)] = Field(
        default=["1d", "7d", "30d"], min_length=1
    )
    budgets: Annotated[list[Budget], AfterValidator(sorted)] = Field(default=[0.01, 0.05, 0.25], min_length=1)
    opponents: Annotated[list[str], AfterValidator(_known)] = Field(default=list(OPPONENTS))
    score_from: Moment = "2021-01-01"
    score_to: Moment | None = None
    touches: Touches = Touches()
    books: Books = Books()
    replications: int = Field(default=500, ge=100)
    seed: int = 0

    @model_validator(mode="after")
    def _scores_a_span(self) -> PromisesConfig:
        if self.score_to is not None and as_time(self.score_from) >= as_time(self.score_to):
            raise ValueError(f"score_from {self.score_from} is not before score_to {self.score_to}.")
        return self

    @property
    def stating(self) -> list[str]:
        """All rules that state promises, the law of gearing first."""
        return [MAIN, *self.opponents]

    def sizes_of(self, horizon: str) -> list[float]:
        """Adverse moves that are scored at a horizon."""
        return self.touches.sizes.get(horizon, [])
