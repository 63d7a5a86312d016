"""Damaged settings, rules, agents and actions: an environment, or one message that says what is wrong."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from tests.fuzz.mutations import Refused, expect_result_or_message, fuzz, mutated, wild_values
from tests.simulation.markets import contract, market, table

from gearing.agents import agent_settings
from gearing.envs.perpetual import PerpetualEnv
from gearing.envs.vector import PerpetualVectorEnv
from gearing.policies import control_names, make_control, make_rule, rule_names
from gearing.simulation import SimulationConfig

MARKET = market(
    100.0 * np.exp(np.cumsum(0.01 * np.random.default_rng(1).standard_normal(60))), [contract("X")]
)
TABLE = table(MARKET)
SETTINGS: dict[str, Any] = {
    "direction": "long", "max_leverage": 10.0, "margin_mode": "isolated", "margin_share": 0.5, "sizing": "equity",
    "initial_equity": 1000.0, "decision_interval": "1h", "rebalance": "band(0.5)", "decision": "interval",
    "action": "leverage", "reward": "log_growth", "slippage": 0.0002, "venue": "bybit", "fee_level": None,
    "order": "taker", "episode_length": "6h", "start": "first", "walk": "extremes", "liquidation": "full",
    "settlement": "venue", "position_mode": "one_way", "deleveraging_move": 0.1, "profit_is_free": False,
    "ruin_fraction": 0.05, "controls": [],
}  # fmt: skip
RESTING = ("stop_loss", "take_profit", "trailing_stop")
ACTIONS = st.one_of(
    wild_values(),
    st.lists(wild_values(), max_size=4),
    st.lists(st.lists(st.floats(-1, 1), min_size=1, max_size=2), max_size=3),
)
AGENT: dict[str, Any] = {
    "algorithm": "ppo", "total_decisions": 1000, "n_accounts": 8, "episode": "90d", "clip": 5.0, "columns": ["a"],
    "randomise": {"fees": [0.5, 2.0]}, "exploration": [0.5, 0.1], "network": {"layers": [8]},
    "parameters": {"gamma": 0.99}, "patience": 3, "cost_warmup": 0.1,
}  # fmt: skip


def play(given_: Any) -> Any:
    """Make an env of a mapping of settings, and a step of it."""
    env = PerpetualEnv(MARKET, TABLE, **given_)
    env.reset(seed=0)
    return env.step(env.action_space.sample())


def damaged_settings(given_: Any) -> None:
    if isinstance(given_, dict) and all(isinstance(name, str) for name in given_):
        expect_result_or_message(lambda: play(given_))


def damaged_rule(name: str, data: Any) -> None:
    """A rule or a control of a name with damaged parameters."""
    made, kind = (make_rule, "rule") if name in rule_names() else (make_control, "control")
    parameters = (
        {"distance": 0.05} if name in RESTING else {"gross": 2.0} if name == "portfolio_limit" else {}
    )
    whole = made({kind: name, **parameters})
    fields = {field: getattr(whole, field) for field in whole.__dataclass_fields__ if field != "conditions"}
    changed = data.draw(mutated(fields))
    if isinstance(changed, dict) and all(isinstance(key, str) for key in changed):
        expect_result_or_message(lambda: made({kind: name, **changed}))


def test_the_undamaged_documents_are_accepted():
    assert not isinstance(expect_result_or_message(lambda: play(SETTINGS)), Refused)
    assert not isinstance(expect_result_or_message(lambda: agent_settings(AGENT)), Refused)


@given(given_=mutated(SETTINGS))
@fuzz(inputs=150)
def test_damaged_settings_make_an_environment_or_a_message(given_):
    damaged_settings(given_)


@pytest.mark.slow
@given(given_=mutated(SETTINGS))
@fuzz(inputs=5000)
def test_thousands_of_damaged_settings_make_an_environment_or_a_message(given_):
    damaged_settings(given_)


@given(name=st.sampled_from([*rule_names(), *control_names()]), data=st.data())
@fuzz(inputs=150)
def test_damaged_parameters_make_a_rule_or_control_or_a_message(name, data):
    damaged_rule(name, data)


@pytest.mark.slow
@given(name=st.sampled_from([*rule_names(), *control_names()]), data=st.data())
@fuzz(inputs=5000)
def test_thousands_of_damaged_parameters_make_a_rule_or_control_or_a_message(name, data):
    damaged_rule(name, data)


@given(given_=mutated(AGENT))
@fuzz(inputs=150)
def test_damaged_settings_of_an_agent_are_read_or_refused(given_):
    expect_result_or_message(lambda: agent_settings(given_))


@given(given_=ACTIONS)
@fuzz(inputs=150)
def test_any_action_is_taken_or_refused(given_):
    envs = PerpetualVectorEnv(2, MARKET, TABLE, episode_length="24h", decision_interval="1h")
    envs.reset(seed=0)
    expect_result_or_message(lambda: envs.step(given_))


@given(name=st.sampled_from(["targets", "mask", "seed"]), given_=ACTIONS)
@fuzz(inputs=150)
def test_whatever_a_simulator_is_given_is_taken_or_refused(name, given_):
    config = SimulationConfig(episode_length="24h", decision_interval="1h", direction="free")
    envs = PerpetualVectorEnv(
        2, MARKET, TABLE, **{f: getattr(config, f) for f in ("episode_length", "direction")}
    )
    simulator = envs.simulator
    simulator.reset(seed=0)
    calls = {
        "targets": lambda: simulator.run(given_), "mask": lambda: simulator.reset(mask=given_),
        "seed": lambda: simulator.reset(seed=given_),
    }  # fmt: skip
    expect_result_or_message(calls[name])
