"""A short market with a forecast column, and tables as an exchange would send them."""

import json
from functools import cache

import numpy as np
import pandas as pd

from gearing.agents import train_agent
from gearing.export import export_bundle
from gearing.export.bundle.files import write_checksums
from gearing.features import FeatureSet
from gearing.forecasters import Schedule, forecast_volatility_column
from gearing.market.synthetic.generators import synthetic_market
from gearing.policies.rules import FixedLeverage, VolatilityWeighted
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


SMALL = SimulationConfig(max_leverage=10.0, margin_share=0.25, start="first")


def small_bundle(folder, rule=None, config=SMALL, columns=("log_return",), part=None):
    """A rule's bundle that needs few bars: fixed 4x by default."""
    part = market() if part is None else part
    columns = FeatureSet(list(columns)).compute(part)
    return export_bundle(rule or FixedLeverage(4.0), folder, market=part, table=columns, config=config)


def network_bundle(folder, output, algorithm="ppo", config=SMALL, **manifest):
    """A bundle whose network is a graph of ``output``: a number, or a function of onnx's helper that makes nodes."""
    small_bundle(folder, config=config)
    about = json.loads((folder / "manifest.json").read_text())
    about |= {"kind": "network", "rule": None, "policy": {"algorithm": algorithm}, **manifest}
    (folder / "manifest.json").write_text(json.dumps(about))
    (folder / "policy.onnx").write_bytes(constant_graph(output))
    write_checksums(folder)
    return folder


def forecast_bundle(folder, variance):
    """A rule's bundle whose forecast is always the same variance."""
    small_bundle(folder)
    about = json.loads((folder / "manifest.json").read_text())
    spec = {
        "column": "forecast_volatility", "recipe": "har", "horizon": "24h", "inputs": ["log_return"],
        "file": "forecaster.onnx", "per_year": 365.0, "lower": 0.0, "upper": 5.0,
    }  # fmt: skip
    about |= {
        "forecasts": [spec],
        "columns": ["forecast_volatility"],
        "low": [0.0],
        "high": [5.0],
        "features": [],
        "seen": None,
    }
    (folder / "manifest.json").write_text(json.dumps(about))
    (folder / "forecaster.onnx").write_bytes(constant_graph(variance, 1, "X", "variance"))
    write_checksums(folder)
    return folder


def constant_graph(value, inputs=7, given="observation", made_name="target_leverage"):
    """ONNX graph that returns one number, whatever its input is."""
    from onnx import TensorProto, helper

    made = helper.make_tensor("value", TensorProto.FLOAT, [1, 1], [value])
    graph = helper.make_graph(
        [helper.make_node("Constant", [], [made_name], value=made)],
        "constant",
        [helper.make_tensor_value_info(given, TensorProto.FLOAT, ["n", inputs])],
        [helper.make_tensor_value_info(made_name, TensorProto.FLOAT, [1, 1])],
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
