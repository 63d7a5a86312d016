"""A short market with a forecast column, and tables as an exchange would send them."""

from functools import cache

import numpy as np
import pandas as pd

from gearing.agents import train_agent
from gearing.features import FeatureSet
from gearing.forecasters import Schedule, forecast_volatility_column
from gearing.market.synthetic.generators import synthetic_market
from gearing.policies.rules import VolatilityWeighted
from gearing.simulation import SimulationConfig, Simulator
from gearing.simulation.actions import ResidualScheme

PRICES = ("open", "high", "low", "close")
CONFIG = SimulationConfig(
    max_leverage=10.0,
    margin_share=0.25,
    action=ResidualScheme(10.0, base=VolatilityWeighted()),
    start="first",
)


@cache
def market():
    """Ten months of hourly bars."""
    return synthetic_market("market-b", seed=5, years=0.85)


@cache
def forecast():
    """HAR, fitted once, after 150 days."""
    return forecast_volatility_column(market(), "har", schedule=Schedule(first_train="150d", refit="200d"))


@cache
def table():
    """Default features with the forecast."""
    return forecast().join(FeatureSet.default().compute(market()))


@cache
def policy():
    """A network that has learned next to nothing, but is one."""
    settings = {
        "algorithm": "ppo", "n_accounts": 8, "episode": "20d", "network": {"layers": [8, 8], "log_std_init": 0.0},
        "parameters": {"n_steps": 16, "batch_size": 64, "n_epochs": 10, "learning_rate": 0.03},
    }  # fmt: skip
    return train_agent(settings, market(), table(), CONFIG, seed=1, total_decisions=640).policy


def bar_table(part, mark=True):
    """Bars of a market's first contract as a table."""
    columns = {name: part.last[:, 0, k] for k, name in enumerate(PRICES)}
    if mark:
        columns |= {f"mark_{name}": part.mark[:, 0, k] for k, name in enumerate(PRICES)}
    return pd.DataFrame({"open_time": part.open_time, **columns, "volume": part.volume[:, 0]})


def funding_table(part):
    """Settlements of a market as a table."""
    return pd.DataFrame({"time": part.settlements["time"], "rate": part.settlements["rate"]})


def account_of(simulator):
    """The simulator's only account as the JSON that ``decide`` reads."""
    account, positions = simulator.accounts[0], {}
    for symbol, position in zip(simulator.slots, simulator.positions[0], strict=True):
        if position.quantity != 0.0:
            positions[symbol] = {
                name: float(position[name])
                for name in ("quantity", "entry_price", "leverage", "margin", "target")
            }
    return {
        "wallet_balance": float(account.wallet_balance),
        "peak_equity": float(account.peak_equity),
        "positions": positions,
    }


def played(chosen, config, answer, remembers_from=None):
    """Simulate a policy over the market; yields (time, observation, account, target, simulator) before each step.

    A recurrent policy begins anew at every decision up to ``remembers_from``, and carries its state from there on.
    """
    simulator, state = Simulator(market(), table(), config), None
    simulator.reset(seed=0)
    for _ in range(simulator.n_decisions):
        begun = remembers_from is not None and simulator.time[0] > remembers_from
        state = state if begun else None
        targets, state = answer(chosen, simulator, state, np.zeros(1, bool))
        yield (
            simulator.time[0],
            simulator.observations[0].copy(),
            account_of(simulator),
            targets[0].copy(),
            simulator,
        )
        simulator.step(targets)
