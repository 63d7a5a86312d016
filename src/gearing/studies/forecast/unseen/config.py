"""Settings of an experiment with contracts that no model was fitted on."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, Field, model_validator

from gearing.market import MarketData
from gearing.market.history.load import ALL
from gearing.names import check_names
from gearing.studies.experiment import ExperimentConfig
from gearing.studies.fields import Duration, Forecaster, Moment, Section
from gearing.studies.forecast.config import Intervals
from gearing.studies.forecasters import Training
from gearing.studies.sections import Market

RIDGE_ON_PANEL = "ridge_panel"  # reads the panel's columns, those of the market included


class UnseenMarket(Market):
    """Contracts that are scored one by one, and those that models are fitted on.

    Attributes
    ----------
    contracts : list of str
        Scored; ``[all]`` are all of the folder.
    pool : list of str, optional
        Contracts that train; a scored one never trains its own model. Default: all others of the folder.
    """

    contracts: list[str] = Field(default=[ALL], min_length=1)
    pool: list[str] | None = Field(default=None, min_length=1)
    missing_mark: Literal["error", "last"] = "last"
    missing_funding: Literal["error", "zero"] = "zero"
    missing_tiers: Literal["error", "earliest"] = "earliest"

    @model_validator(mode="after")
    def _names_each_contract_once(self) -> UnseenMarket:
        for field, names in (("contracts", self.contracts), ("pool", self.pool or [])):
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"{field} names {', '.join(twice)} twice.")
        return self

    @property
    def everything(self) -> list[str]:
        """Contracts of the folder; of a generated market those that are named, or the generator's own."""
        if self.is_history:
            return self.model_copy(update={"contracts": [ALL]}).symbols
        if self.contracts != [ALL]:
            return list(dict.fromkeys([*self.contracts, *(self.pool or [])]))
        return list(self.model_copy(update={"contracts": None}).open().symbols)

    @property
    def scored(self) -> list[str]:
        """Contracts that are scored, by symbol."""
        return self.everything if self.contracts == [ALL] else self.contracts

    @property
    def training(self) -> list[str]:
        """Contracts that train, by symbol; without a pool all, of which each leaves itself out."""
        return self.everything if self.pool is None else self.pool

    def markets(self) -> dict[str, MarketData]:
        """Markets of one contract each, scored and training ones: each over its own longest complete span.

        Raises
        ------
        ValueError
            If a scored contract has no bar between ``from`` and ``to``.
        """
        names = list(dict.fromkeys([*self.scored, *self.training]))
        if self.is_history:
            check_names("no contract", names, self.everything)
        whole = self.model_copy(update={"from_": None, "to": None}).each(names)
        return {
            name: self._cut(name, market) for name, market in whole.items() if self._overlaps(name, market)
        }

    def _overlaps(self, name: str, market: MarketData) -> bool:
        first, last = market.open_time[0], market.open_time[-1]
        inside = (self.from_ is None or last >= np.datetime64(self.from_, "ms")) and (
            self.to is None or first < np.datetime64(self.to, "ms")
        )
        if not inside and name in self.scored:
            raise ValueError(f"{name} has no bar in [{self.from_}, {self.to}); its bars: {market!r}.")
        return inside

    def _cut(self, name: str, market: MarketData) -> MarketData:
        return market.between(self.from_, self.to) if self.from_ or self.to else market


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
    market: UnseenMarket = UnseenMarket()
    horizon: Duration = "24h"
    opponents: Annotated[list[Forecaster], AfterValidator(_each_once)] = Field(
        default=["har", "har_dow", "ewma_2d", "garch_t", "ridge", RIDGE_ON_PANEL], min_length=1
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
