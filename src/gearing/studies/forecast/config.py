"""Settings of an experiment with volatility forecasters."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from gearing.market.timing import parse_duration
from gearing.names import did_you_mean
from gearing.studies.experiment import ExperimentConfig
from gearing.studies.fields import Duration, Forecaster, Moment, Section
from gearing.studies.forecasters import NamedForecaster, Training
from gearing.studies.sections import Market

POOLED = "_pooled"


class PooledMarket(Market):
    """Contracts that are forecast one by one.

    Attributes
    ----------
    pool : list of str
        Further contracts, whose rows help to fit the pooled models.
    """

    contracts: list[str] = Field(default=["BTCUSDT"], min_length=1)
    pool: list[str] = Field(default_factory=list)


class Model(NamedForecaster):
    """A forecaster; a pooled one is fitted on the rows of all contracts, those of ``market.pool`` included."""

    pooled: bool = False


def _models(given: Any) -> Any:
    """A plain list of names; ``ridge_pooled`` is the pooled ``ridge``."""
    if isinstance(given, list) and all(isinstance(name, str) for name in given):
        return {n: {"forecaster": n.removesuffix(POOLED), "pooled": n.endswith(POOLED)} for n in given}
    return given


class Intervals(Section):
    """Conformal intervals.

    Attributes
    ----------
    level : float
    past : duration
        Of the errors that an interval is made of.
    adapt : float
        Step of the level after every miss.
    """

    level: float = Field(default=0.9, gt=0.0, lt=1.0)
    past: Duration = "365d"
    adapt: float = Field(default=0.01, ge=0.0, lt=0.5)


class ConfidenceSet(Section):
    """Model confidence set."""

    size: float = Field(default=0.10, gt=0.0, lt=1.0)
    block: int = Field(default=10, ge=1)
    replications: int = Field(default=1_000, ge=100)


class Touches(Section):
    """Touch probabilities that are compared with the reflection principle."""

    horizons: list[Duration] = Field(default=["24h"], min_length=1)
    sizes: list[Annotated[float, Field(gt=0.0, lt=1.0)]] = Field(default=[0.02, 0.05, 0.10], min_length=1)
    every: Duration = "4h"
    forecaster: Forecaster = "ridge"


class ForecastConfig(ExperimentConfig):
    """Forecasters of the variance over the next ``horizon``, compared out of sample.

    Attributes
    ----------
    horizon, every : duration
        What is forecast, and how often.
    target : {"bars", "finer"}
        Which bars measure the variance that followed.
    models : mapping of name to Model
        Or a list of names of forecasters; ``ridge_pooled`` is the pooled one.
    combinations : mapping of name to models
        Geometric means of models.
    reference : str
        Model that the others are compared with.
    choose_before : moment
        The model of least QLIKE before it is chosen; nothing later is used for that.
    tried_before : int
        Configurations measured on those years before this experiment.
    intervals, confidence_set, excursions
        Excursions are touch probabilities.
    seed : int
        Of the bootstrap.
    """

    kind: Literal["forecast"] = "forecast"
    market: PooledMarket = PooledMarket()
    horizon: Duration = "24h"
    every: Duration = "24h"
    target: Literal["bars", "finer"] = "bars"
    schedule: Training = Training()
    models: Annotated[dict[str, Model], BeforeValidator(_models)] = Field(min_length=1)
    combinations: dict[str, list[str]] = Field(default_factory=dict)
    reference: str = "har"
    choose_before: Moment = "2023-01-01"
    tried_before: int = Field(default=0, ge=0)
    intervals: Intervals = Intervals()
    confidence_set: ConfidenceSet = ConfidenceSet()
    excursions: Touches | None = None
    seed: int = 0

    @model_validator(mode="after")
    def _parts_agree(self) -> ForecastConfig:
        if self.reference not in self.models:
            hint = did_you_mean(self.reference, self.models)
            raise ValueError(f"reference {self.reference!r} must be one of the models.{hint}")
        for name, members in self.combinations.items():
            unknown = sorted(set(members) - self.models.keys())
            if unknown or not members or name in self.models:
                raise ValueError(
                    f"combination {name!r} needs a name of its own and members among the models; unknown: {unknown}."
                )
        if self.target == "finer" and self.market.finer is None:
            raise ValueError("target 'finer' needs market.finer, such as '5m'.")
        return self

    @property
    def overlap(self) -> int:
        """Forecasts whose targets cover the same bar."""
        return max(int(-(-parse_duration(self.horizon) // parse_duration(self.every))), 1)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that the models read, each once."""
        return tuple(dict.fromkeys(c for model in self.models.values() for c in model.recipe.columns))
