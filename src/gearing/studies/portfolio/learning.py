"""Agents among the policies of a portfolio study: trained anew at every refit, on the days before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from gearing.agents.settings import agent_settings
from gearing.features import FeatureSet, is_feature
from gearing.market import MarketData
from gearing.market.timing import parse_duration
from gearing.simulation.actions import ResidualScheme
from gearing.studies.fields import as_time
from gearing.studies.rules_and_agents import Learner

if TYPE_CHECKING:
    from gearing.studies.portfolio.config import PortfolioConfig


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


def made(config: PortfolioConfig, name: str, market: MarketData) -> Any:
    """A policy of the study: a rule, or an agent trained on a market."""
    return config.rules[name].make() if name in config.rules else trained(config, name, market)


def trained(config: PortfolioConfig, name: str, market: MarketData) -> Any:
    """An agent that is trained at every refit, on the days before it; before the first, on days that it has seen."""
    from gearing.agents.book.succession import Succession
    from gearing.agents.training import train_agent

    agent, most = config.agents[name], config.decision.max_leverage
    base = config.rules[agent.base].make()
    given = agent.hyper_parameters
    columns = [*base.required_columns, *(agent_settings(given).columns or ())]
    table = FeatureSet([one for one in dict.fromkeys(columns) if is_feature(one)]).compute(market)
    given = {**given, "network": {**given.get("network", {}), "members": agent.seeds}}
    account = config.simulation(action=ResidualScheme(most, base=base))
    moments = np.arange(as_time(config.test.from_), market.close_time[-1], parse_duration(config.test.every))
    policies = [
        train_agent(
            given, market.between(None, moment), table.between(None, moment), account, seed=config.seed
        ).policy
        for moment in moments
    ]
    return Succession(policies, moments, base, most)
