"""Contracts that an experiment scores one by one, and those that its models are fitted on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from gearing.market import MarketData
from gearing.market.history.layout import best_source, contract_folder, contract_names, data_folder
from gearing.market.history.load import ALL
from gearing.market.timing import positive_duration
from gearing.names import check_names
from gearing.studies.fields import as_time
from gearing.studies.sections import Market


class ScoredMarket(Market):
    """Contracts that are scored one by one, and those that models are fitted on.

    Attributes
    ----------
    contracts : list of str
        Scored; ``[all]`` are all of the folder.
    pool : list of str, optional
        Contracts that fit models; a scored one is left out of its own pool. Default: all others of the folder, or the
        scored ones where there are no others.
    """

    contracts: list[str] = Field(default=[ALL], min_length=1)
    pool: list[str] | None = Field(default=None, min_length=1)
    missing_mark: Literal["error", "last"] = "last"
    missing_funding: Literal["error", "zero"] = "zero"
    missing_tiers: Literal["error", "earliest"] = "earliest"

    @model_validator(mode="after")
    def _names_each_contract_once(self) -> ScoredMarket:
        for field, names in (("contracts", self.contracts), ("pool", self.pool or [])):
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"{field} names {', '.join(twice)} twice.")
        return self

    @property
    def everything(self) -> list[str]:
        """Contracts of the folder with bars; of a generated market those that are named, or the generator's own."""
        if self.is_history:
            root, bar = data_folder(self.folder), positive_duration(self.bar)
            names = contract_names(root, self.venue)
            return [
                name
                for name in names
                if best_source(contract_folder(root, self.venue, name), "last", bar) is not None
            ]
        if self.contracts != [ALL]:
            return list(dict.fromkeys([*self.contracts, *(self.pool or [])]))
        return list(self.model_copy(update={"contracts": None}).open().symbols)

    @property
    def scored(self) -> list[str]:
        """Contracts that are scored, by symbol."""
        return self.everything if self.contracts == [ALL] else self.contracts

    @property
    def training(self) -> list[str]:
        """The pool, by symbol."""
        if self.pool is not None:
            return self.everything if self.pool == [ALL] else self.pool
        scored = self.scored
        return [name for name in self.everything if name not in scored] or scored

    def pool_of(self, symbol: str) -> list[str]:
        """The pool of a scored contract, which is not in it."""
        return [name for name in self.training if name != symbol]

    def markets(self) -> dict[str, MarketData]:
        """Markets of one contract each, scored and training ones: each over its own longest complete span.

        Raises
        ------
        ValueError
            If a scored contract has no bar between ``from`` and ``to``.
        """
        names = list(dict.fromkeys([*self.scored, *self.training]))
        if self.is_history:
            place = data_folder(self.folder) / self.venue
            check_names(
                f"{place}: no contract with bars that divide {self.bar} is named", names, self.everything
            )
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

    def check_score_from(self, moment: str | None, markets: Mapping[str, MarketData]) -> None:
        """Refuse a first scored moment after the last bar of every scored contract, before anything is fitted."""
        last = max(markets[name].close_time[-1] for name in self.scored)
        if moment is not None and as_time(moment) >= last:
            raise ValueError(
                f"score_from is {moment}, but the bars of {', '.join(self.scored)} end at {last}; give an earlier "
                "moment."
            )
