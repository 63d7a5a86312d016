"""Settings of an experiment on promises."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from gearing.forecasters.excursion_law.law import LEAST, MOST
from gearing.forecasters.excursion_law.scale import days_of
from gearing.market.history.layout import best_source, contract_folder, contract_names, data_folder
from gearing.market.timing import positive_duration
from gearing.names import check_names
from gearing.studies.experiment import ExperimentConfig
from gearing.studies.fields import Duration, Moment, Section
from gearing.studies.sections import Market

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


class ScoredMarket(Market):
    """Contracts whose promises are scored, and those that fit them.

    Attributes
    ----------
    pool : list of str, optional
        Contracts that the law is fitted on; a scored contract is left out of its own pool. Default: all others of the
        folder (of a generated market, all of its contracts), or the scored ones where there are no others.
    """

    contracts: list[str] = Field(default=["BTCUSDT"], min_length=1)
    pool: list[str] | None = None

    @property
    def fitted(self) -> list[str]:
        """The pool by name."""
        if self.pool is not None:
            return self.pool or self.contracts
        if not self.is_history:
            return self.contracts
        root, bar = data_folder(self.folder), positive_duration(self.bar)
        others = [
            name
            for name in contract_names(root, self.venue)
            if name not in self.contracts
            and best_source(contract_folder(root, self.venue, name), "last", bar) is not None
        ]
        return others or self.contracts


class Touches(Section):
    """Log and Brier scores of touch probabilities at these adverse moves, by horizon."""

    sizes: dict[Duration, list[Size]] = Field(
        default={"1d": [0.02, 0.05, 0.10], "7d": [0.05, 0.10, 0.20], "30d": [0.10, 0.20, 0.40]}
    )


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
    replications: int = Field(default=500, ge=100)
    seed: int = 0

    @property
    def stating(self) -> list[str]:
        """All rules that state promises, the law of gearing first."""
        return [MAIN, *self.opponents]

    def sizes_of(self, horizon: str) -> list[float]:
        """Adverse moves that are scored at a horizon."""
        return self.touches.sizes.get(horizon, [])
