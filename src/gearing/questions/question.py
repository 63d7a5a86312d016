"""What the experiments that answer one question each have in common."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import Field

from gearing.questions.rule_grid.results import Cells
from gearing.simulation.config import Slippage
from gearing.studies.experiment import ExperimentConfig
from gearing.studies.sections import Exchange, Market, Rule
from gearing.studies.work import Work

if TYPE_CHECKING:
    from gearing.market import MarketData


class Answer(ExperimentConfig):
    """An experiment on one or several contracts under one exchange.

    Attributes
    ----------
    market : Market
    exchange : Exchange
    replications, seed
        Of the bootstraps.
    """

    market: Market
    exchange: Exchange = Exchange()
    replications: int = Field(default=500, ge=100)
    seed: int = 0

    def markets(self) -> dict[str, MarketData]:
        """The contracts one by one; a generated market counts as one contract under its own name."""
        if not self.market.is_history:
            market = self.market.open()
            return {symbol: market.select([symbol]) for symbol in market.symbols}
        parts = {
            symbol: self.market.model_copy(update={"contracts": [symbol]}) for symbol in self.market.symbols
        }
        return {symbol: part.open() for symbol, part in parts.items()}

    def simulation(self) -> dict[str, Any]:
        """Settings of the simulation that the exchange gives."""
        settings = self.exchange.model_dump(exclude={"slippage"})
        return {**settings, "slippage": Slippage(**self.exchange.slippage.model_dump())}

    @property
    def chance(self) -> dict[str, Any]:
        """Seed and replications of a bootstrap."""
        return {"seed": self.seed, "replications": self.replications}


def made(rules: dict[str, Rule]) -> dict[str, Any]:
    """Rules of an experiment, by name."""
    return {name: rule.make() for name, rule in rules.items()}


def kept_cells(work: Work, name: str, play: Callable[[], Cells]) -> Cells:
    """Cells that are played once: rows, days and shifts are parts of the experiment."""
    played = cache(play)
    return Cells(
        work.part(name, lambda: played().rows),
        work.part(f"{name}-days", lambda: played().days),
        work.part(f"{name}-shifts", lambda: played().shifts),
    )
