"""Agents among the policies of a portfolio study: how an experiment states them."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from gearing.agents.settings import agent_settings
from gearing.market import MarketData
from gearing.studies.rules_and_agents import Learner


class BookAgent(Learner):
    """A ``differentiable_book`` around a rule of the study.

    Attributes
    ----------
    base : str
        The rule whose leverage it scales, by its name in the study.
    seeds : int
        Members of the ensemble that is played, with seeds that count up from the study's.
    """

    algorithm: str = "differentiable_book"
    base: str
    seeds: int = Field(default=10, ge=1, le=100)

    def check(self) -> None:
        """Refuse other algorithms, and an agent that names no columns."""
        super().check()
        if self.algorithm != "differentiable_book":
            raise ValueError(f"{self.algorithm}: a study of books trains differentiable_book alone.")
        if agent_settings(self.hyper_parameters).columns is None:
            raise ValueError("name the columns that the agent reads: columns: [scaled_momentum_20d, ...].")

    @property
    def contracts(self) -> None:
        """None: it trades all contracts."""
        return

    @property
    def identity(self) -> dict[str, Any]:
        """What its results depend on."""
        return self.model_dump(mode="json")

    def market(self, whole: MarketData) -> MarketData:
        """The market that it trades: all contracts."""
        return whole
