"""What an environment, a backtest or a training cannot be made of is refused in words that say what to give."""

import copy
import warnings

import gymnasium
import numpy as np
import pytest
from tests.simulation.markets import contract, market, table

import gearing
from gearing.envs.perpetual import PerpetualEnv
from gearing.envs.sb3 import PerpetualVecEnv
from gearing.features import FeatureSet
from gearing.policies.oracle import state_table
from gearing.simulation.actions import ResidualScheme

MARKET = market(np.linspace(100.0, 110.0, 60), [contract("X")])
OTHER = market(np.linspace(100.0, 90.0, 60), [contract("X")])
TABLE = table(MARKET)
RULE = gearing.rules.FixedLeverage(2.0)


def made(**settings):
    return PerpetualEnv(**{"market": MARKET, "features": TABLE, "decision_interval": "1h", **settings})


def played(policy=RULE, of=MARKET, **settings):
    return gearing.backtest(policy, of, TABLE, decision_interval="1h", **settings)


def reward(steps, drawdown):
    return steps["log_growth"]


REFUSED = {
    "a symbol for a market": (lambda: made(market="BTCUSDT"), TypeError, "give a MarketData: gearing.load_market"),
    "a number for features": (lambda: made(features=3), TypeError, "names of features or groups"),
    "a table among names": (lambda: made(features=[TABLE, "log_return"]), TypeError, "names of features or groups"),
    "a list for a table": (lambda: gearing.Simulator(MARKET, ["log_return"]), TypeError, r"FeatureSet\(\[...\]\)"),
    "a mistyped argument": (lambda: made(featurs=None), TypeError, "Did you mean 'features'"),
    "a mistyped setting": (lambda: made(margin_shar=0.5), TypeError, "Did you mean 'margin_share'"),
    "an argument of make_vec": (lambda: made(n_threads=2), TypeError, r"gymnasium\.make_vec does"),
    "a function for a reward": (lambda: made(reward=reward), TypeError, "the function reward; give a name"),
    "the class of a reward": (lambda: made(reward=gearing.Simulator), TypeError, "the class Simulator; give a name"),
    "a number for an action": (lambda: made(action=3), TypeError, r"give a name \(leverage, tiers, residual"),
    "seven hours": (lambda: made(decision_interval="7h"), ValueError, "decision_interval 7h must divide 24 h"),
    "an interval of nothing": (lambda: made(decision_interval="0h"), ValueError, "give a positive duration"),
    "text for a number": (lambda: made(max_leverage="10"), TypeError, "max_leverage is '10'; it must be float"),
    "text for a share": (lambda: made(margin_share="all"), TypeError, "a number, or one for each contract"),
    "text for a slippage": (lambda: made(slippage="much"), TypeError, "a number or a Slippage"),
    "a control's class": (lambda: made(controls=[gearing.Simulator]), TypeError, "the class Simulator; give a list"),
    "a rule's class": (lambda: played(gearing.rules.FixedLeverage), TypeError, r"give an instance: FixedLeverage\("),
    "a rule's name": (lambda: played("fixed"), TypeError, r"make_rule\('fixed'\)"),
    "the class of a base rule": (
        lambda: ResidualScheme(5.0, base=gearing.rules.FixedLeverage), TypeError, "give an instance",
    ),
    "a market that is text": (lambda: played(of="BTCUSDT"), TypeError, "give a MarketData"),
    "a table of another market": (
        lambda: gearing.backtest(RULE, OTHER, FeatureSet(["log_return"]).compute(MARKET)), ValueError,
        "bars, contracts and prices must agree",
    ),
    "a forecast that is a number": (
        lambda: gearing.backtest(gearing.rules.VolatilityTarget(1.0), MARKET, forecast=3), TypeError,
        "name of a forecaster, such as 'har'",
    ),
    "an experiment that is a class": (lambda: gearing.run_study(gearing.rules.FixedLeverage), TypeError, "YAML file"),
    "a policy's class to check": (lambda: gearing.check_policy(gearing.rules.FixedLeverage), TypeError, "an instance"),
    "text for an oracle": (lambda: gearing.oracle_growth("x"), TypeError, "give a MarketData"),
    "text for a safest leverage": (lambda: gearing.safest_leverage("BTCUSDT"), TypeError, "give a MarketData"),
}  # fmt: skip


@pytest.mark.parametrize(("call", "error", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_meant_is_refused_and_the_message_says_what_to_give(call, error, says):
    with pytest.raises(error, match=says):
        call()


def test_a_reward_of_another_shape_is_refused():
    class Whole(gearing.simulation.rewards.Stateless):
        def __call__(self, steps, drawdown):
            return float(steps["log_growth"].sum())

    env = made(reward=Whole())
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"one number per account: \(1,\)"):
        env.step(np.zeros(1))


def test_a_table_goes_with_its_market_through_every_cut():
    whole = FeatureSet(["log_return"]).compute(MARKET)
    middle = MARKET.open_time[30]
    cut, rows = MARKET.between(middle, None), whole.between(middle, None)
    for part in (rows, rows.join("one", np.zeros(30), lower=-1.0, upper=1.0), copy.deepcopy(rows)):
        assert part.computed_on(cut.close)
        gearing.Simulator(cut, part, gearing.SimulationConfig(decision_interval="1h"))
    with pytest.raises(ValueError, match="does not belong"):
        gearing.Simulator(OTHER.between(middle, None), rows, gearing.SimulationConfig(decision_interval="1h"))


def test_a_volatility_of_the_generator_has_no_negative_bounds():
    env_table = state_table(gearing.synthetic_market("market-a", seed=0, years=1))
    bounds = dict(zip(env_table.columns, env_table.lower.tolist(), strict=True))
    assert bounds["volatility"] == bounds["jumps"] == 0.0
    assert bounds["drift"] < 0.0


def test_a_first_task_says_what_takes_its_time(capsys):
    gymnasium.make("gearing/MarketB-v0", years=1, market_seed=77)
    assert "simulating 1 years of market-b" in capsys.readouterr().err


def test_infos_of_running_accounts_can_be_left_empty():
    envs = PerpetualVecEnv(2, MARKET, TABLE, infos="ended", decision_interval="1h", episode_length="2h")
    envs.reset()
    assert envs.step(np.zeros((2, 1)))[3] == [{}, {}]
    ended = envs.step(np.zeros((2, 1)))[3]
    assert {"terminal_observation", "episode", "equity", "TimeLimit.truncated"} <= set(ended[0])
    with pytest.raises(ValueError, match="'all' or 'ended'"):
        PerpetualVecEnv(2, MARKET, TABLE, infos="some")


def test_actions_come_before_a_step_waits_for_them():
    envs = PerpetualVecEnv(2, MARKET, TABLE, decision_interval="1h")
    envs.reset()
    with pytest.raises(gymnasium.error.NoAsyncCallError, match=r"step_async\(actions\) first"):
        envs.step_wait()


def test_a_closed_environment_goes_on():
    """There is nothing to release: Gymnasium's checker closes what people then train on."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for env in (
            made(),
            gymnasium.make_vec("gearing/Perpetual-v0", num_envs=2, market=MARKET, features=TABLE),
        ):
            env.close()
            env.reset(seed=0)
            env.step(env.action_space.sample())
