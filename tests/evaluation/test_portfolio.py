"""Every registered rule and control on one cross-margin account of three contracts, in every face of the simulator."""

from functools import cache

import gymnasium
import numpy as np
import pytest

import gearing
from gearing.envs.sb3 import PerpetualVecEnv
from gearing.exchange.observing import ACCOUNT_COLUMNS, POSITION_COLUMNS
from gearing.features import FeatureSet, is_feature
from gearing.policies import control_names, make_control, make_rule, rule_names
from gearing.policies.rules import FixedLeverage
from gearing.simulation.actions import ResidualScheme

# What a control needs to be one; the others are made with their defaults.
NEEDED = {
    "portfolio_limit": {"gross": 2.0, "volatility": 0.8}, "stop_loss": {"margin": 0.3},
    "take_profit": {"distance": 0.1}, "trailing_stop": {"atr": 3.0}, "risk_limit": {"margin_mode": "cross"},
}  # fmt: skip
SETTINGS = {"margin_mode": "cross", "margin_share": 0.5, "max_leverage": 20.0, "initial_equity": 50_000.0}
STEPS = 30
RULES, CONTROLS = rule_names(), control_names()  # without what other tests register while they run


def controls():
    return [make_control({"control": name, **NEEDED.get(name, {})}) for name in CONTROLS]


def rule_of(name):
    # Half of Kelly is nothing in a fall, so it is given a prior.
    return make_rule({"rule": name, "prior": 2.0} if name == "kelly" else name)


def direction_of(name):
    return "free" if name.startswith("book_") else "long"  # rules for books choose the side


def with_table(market):
    """The market with every column that a rule or control reads; forecasts of nobody are random probabilities."""
    readers = [*(rule_of(name) for name in RULES), *controls()]
    requested = dict.fromkeys(c for reader in readers for c in reader.required_columns)
    own = {*POSITION_COLUMNS, *ACCOUNT_COLUMNS}
    table = FeatureSet([name for name in requested if is_feature(name)]).compute(market)
    rng = np.random.default_rng(0)
    for name in (name for name in requested if not is_feature(name) and name not in own):
        shape = (market.n_bars, market.n_contracts)
        table = table.join(name, rng.uniform(0.05, 0.95, shape), lower=0.0, upper=1.0)
    return market, table


@cache
def synthetic():
    return with_table(gearing.synthetic_market("market-b", seed=3, years=1.5, contracts=("A", "B", "C")))


@cache
def real(folder):
    whole = gearing.load_market(folder, ["BTCUSDT", "ETHUSDT", "ADAUSDT"], missing_tiers="earliest")
    return with_table(whole.between(whole.open_time[-24 * 300], None))


def assert_every_face_plays(rule, market, table, **settings):
    """A backtest keeps its accounts, and each env whose action scales the rule by one gives its equity to the bit."""
    given = {**SETTINGS, "start": "first", **settings}
    played = gearing.backtest(rule, market, table, **given)
    change = played.equity[1:] - played.equity[:-1]
    steps = played.steps
    told = steps.price_pnl + steps.fees + steps.funding + steps.liquidation
    np.testing.assert_allclose(told[: played.end], change[: played.end], rtol=1e-9, atol=1e-6)
    assert (np.abs(played.leverage[: played.end]).max(axis=0) > 0.0).all()
    given |= {"market": market, "features": table, "action": ResidualScheme(SETTINGS["max_leverage"], rule)}
    env = gymnasium.make("gearing/Perpetual-v0", **given)
    envs = gymnasium.make_vec("gearing/Perpetual-v0", num_envs=2, **given)
    sb3 = PerpetualVecEnv(2, **given)
    env.reset(seed=0)
    envs.reset(seed=0)
    sb3.seed(0)
    sb3.reset()
    same = np.zeros((2, market.n_contracts), np.float32)
    for k in range(min(STEPS, played.end - 1)):
        scalar = env.step(same[0])[4]["equity"]
        batch = envs.step(same)[4]["equity"]
        sb3.step(same)  # its infos are empty while accounts run
        other = sb3.simulator.accounts.equity
        assert [scalar, *batch, *other] == [played.equity[k + 1]] * 5
    return played


@pytest.mark.parametrize("name", RULES)
def test_every_rule_trades_three_contracts_in_every_interface(name):
    assert_every_face_plays(rule_of(name), *synthetic(), direction=direction_of(name))


@pytest.mark.parametrize("control", controls(), ids=CONTROLS)
def test_every_control_guards_three_contracts_in_every_interface(control):
    played = assert_every_face_plays(FixedLeverage(12.0), *synthetic(), controls=(control,))
    assert list(played.control_report.index) == [repr(control)]


def test_all_controls_together_guard_three_contracts_in_every_interface():
    played = assert_every_face_plays(FixedLeverage(12.0), *synthetic(), controls=tuple(controls()))
    assert (played.control_report.acted > 0).sum() >= 4


@pytest.mark.slow
@pytest.mark.parametrize("name", RULES)
def test_every_rule_trades_bitcoin_ether_and_ada_on_their_marks(real_history, name):
    assert_every_face_plays(rule_of(name), *real(real_history), direction=direction_of(name))


@pytest.mark.slow
@pytest.mark.parametrize("control", controls(), ids=CONTROLS)
def test_every_control_guards_bitcoin_ether_and_ada_on_their_marks(real_history, control):
    assert_every_face_plays(FixedLeverage(12.0), *real(real_history), controls=(control,))
