"""The policies of a portfolio study: rules, and agents trained anew at every refit, on the days before it."""

from __future__ import annotations

from typing import Any

import numpy as np

from gearing.agents.settings import agent_settings
from gearing.features import FeatureSet, is_feature
from gearing.market import MarketData
from gearing.market.timing import parse_duration
from gearing.simulation.actions import ResidualScheme
from gearing.studies.fields import as_time
from gearing.studies.portfolio.config import PortfolioConfig


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
