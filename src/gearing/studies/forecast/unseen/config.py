"""Settings of an experiment with contracts that no model was fitted on."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from gearing.studies.experiment import ExperimentConfig
from gearing.studies.fields import Duration, Forecaster, Moment, Section
from gearing.studies.forecast.config import Intervals
from gearing.studies.forecasters import Training
from gearing.studies.scored_market import ScoredMarket


def _each_once(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("names a forecaster twice.")
    return names


class Resampling(Section):
    """Intervals of the ratios: blocks of days, common to all contracts."""

    mean_block: float = Field(default=20.0, ge=1.0)  # days
    replications: int = Field(default=2_000, ge=100)
    level: float = Field(default=0.95, gt=0.5, lt=1.0)
    seed: int = 0


class UnseenConfig(ExperimentConfig):
    """A panel forecaster on contracts that it was not fitted on, compared with forecasters fitted on their own past.

    Attributes
    ----------
    horizon : duration
        What is forecast, once a day at 00:00 UTC.
    opponents : list of forecasters
        Each is fitted on the contract's own past, and scored with and without the rescaling by its past errors.
    schedule : Training
        Of the opponents: the first window is the contract's own.
    pool_schedule : Training
        Of the panel: the first window is that of the pool.
    own_weight : float
        Of a contract's own past rows in the model ``panel_home``; those of the pool weigh one.
    score_from : moment, optional
        First day that is scored; models are fitted on what was before all the same.
    intervals, resampling
    """

    kind: Literal["volatility_unseen"] = "volatility_unseen"
    market: ScoredMarket = ScoredMarket()
    horizon: Duration = "24h"
    opponents: Annotated[list[Forecaster], AfterValidator(_each_once)] = Field(
        default=["har", "har_dow", "ewma_2d", "garch_t", "ridge", "ridge_own", "ridge_panel"], min_length=1
    )
    schedule: Training = Training()
    pool_schedule: Training = Training(train="180d")
    own_weight: float = Field(default=10.0, gt=0.0)
    score_from: Moment | None = None
    intervals: Intervals = Intervals()
    resampling: Resampling = Resampling()

    @model_validator(mode="after")
    def _has_its_references(self) -> UnseenConfig:
        if "har" not in self.opponents:
            raise ValueError("opponents must include 'har', which ratios refer to.")
        return self
