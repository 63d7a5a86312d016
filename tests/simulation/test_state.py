"""Nothing that is handed to a simulator reaches compiled code unchecked, and copies stand on their own arrays."""

import copy
import gc
import pickle

import numpy as np
import pytest
from tests.simulation.markets import contract, market, table

from gearing.envs.perpetual import PerpetualEnv
from gearing.exchange.records import guard_dtype, records
from gearing.policies.controls import CoolDown
from gearing.simulation import SimulationConfig, Simulator

MARKET = market(np.linspace(100.0, 90.0, 40), [contract("X")])
TARGETS = np.array([[2.0], [3.0]])


def simulator(n_accounts=2, begun=True, **changes):
    settings = {"decision_interval": "1h", "episode_length": "10h", "direction": "free", **changes}
    made = Simulator(MARKET, table(MARKET), SimulationConfig(**settings), n_accounts)
    if begun:
        made.reset(seed=0)
    return made


@pytest.mark.parametrize("call", ["step", "run", "action_masks"])
def test_accounts_that_have_not_begun_are_refused(call):
    made = simulator(begun=False, direction="long", action="tiers")
    with pytest.raises(RuntimeError, match=r"reset\(\) or begin\(\)"):
        getattr(made, call)(*([] if call == "action_masks" else [TARGETS]))


def test_some_accounts_may_begin_and_step_before_the_others():
    made = simulator(begun=False)
    first = np.array([True, False])
    made.reset(seed=3, mask=first)
    made.step(TARGETS, active=first)
    with pytest.raises(RuntimeError, match="has not begun"):
        made.step(TARGETS)


WRONG = {
    "targets of another shape": (lambda s: s.step(np.zeros((1, 2))), ValueError, "shape"),
    "targets of one account": (lambda s: s.step(np.zeros(1)), ValueError, "shape"),
    "targets that are text": (lambda s: s.step("long"), TypeError, "numbers"),
    "an infinite target": (lambda s: s.step(TARGETS * np.inf), ValueError, "exceeds max_leverage"),
    "a path of another number of accounts": (lambda s: s.run(np.zeros((3, 5, 1))), ValueError, "shape"),
    "a path of other contracts": (lambda s: s.run(np.zeros((5, 2))), ValueError, "shape"),
    "indices for a mask": (lambda s: s.step(TARGETS, active=np.array([0, 1])), ValueError, "must be bool"),
    "a longer mask": (lambda s: s.reset(mask=np.ones(3, bool)), ValueError, r"shape \(2,\)"),
    "guards of another shape": (
        lambda s: s.step(TARGETS, guards=records((1, 1), guard_dtype)),
        ValueError,
        "guards",
    ),
    "guards that are numbers": (
        lambda s: s.step(TARGETS, guards=np.zeros((2, 1))),
        ValueError,
        "guard_dtype",
    ),
    "a path that does not exist": (
        lambda s: s.begin(np.zeros(2, int), 1, path=1),
        ValueError,
        "paths 0 to 0",
    ),
    "a path below zero": (lambda s: s.begin(np.zeros(2, int), 1, path=-1), ValueError, "paths 0 to 0"),
    "a decision past the end": (lambda s: s.begin(np.full(2, 99), 1), ValueError, "starts"),
    "a fraction of a decision": (lambda s: s.begin(np.full(2, 0.5), 1), ValueError, "integers"),
    "no decision": (lambda s: s.begin(np.zeros(2, int), 0), ValueError, "1 decision or more"),
    "a seed that is text": (lambda s: s.reset(seed="a"), TypeError, "whole number"),
    "too few seeds": (lambda s: s.reset(seed=[1]), ValueError, "1 seeds for 2 accounts"),
    "no account": (lambda s: simulator(0), ValueError, "1 or more"),
    "half an account": (lambda s: simulator(1.5), TypeError, "whole number"),
    "more accounts than fit": (lambda s: simulator(10**13), MemoryError, "GiB"),
    "a market's name": (lambda s: Simulator("BTCUSDT"), TypeError, "give a MarketData"),
    "names for a table": (lambda s: Simulator(MARKET, ["log_return"]), TypeError, "FeatureSet"),
}


@pytest.mark.parametrize(("call", "error", "says"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_argument_is_refused_and_says_what_is_right(call, error, says):
    with pytest.raises(error, match=says):
        call(simulator())


@pytest.mark.parametrize(
    ("field", "value"),
    [("row", 0), ("row", -1), ("row", 10**9), ("last_row", 10**9), ("path", 7), ("path", -1)],
)
def test_records_that_were_overwritten_are_refused_by_compiled_code(field, value):
    made = simulator()
    made.accounts[field][1] = value
    with pytest.raises(IndexError, match="account 1 stands at row"):
        made.step(TARGETS)
    with pytest.raises(IndexError, match="account 1 stands at row"):
        made.run(np.zeros((3, 1)))


def test_a_seed_may_have_any_size_and_counts_modulo_the_word():
    huge, small = simulator(), simulator()
    huge.reset(seed=2**64 + 5)
    small.reset(seed=5)
    np.testing.assert_array_equal(huge.episode_keys, small.episode_keys)


def test_a_seed_restarts_the_accounts_of_the_mask_only():
    made, kept = simulator(), simulator()
    for one in (made, kept):
        one.reset()
    made.reset(seed=9, mask=np.array([True, False]))
    kept.reset(mask=np.array([True, False]))
    assert made.accounts.episode.tolist() == [0, 1]
    assert made.episode_keys[1] == kept.episode_keys[1]
    assert made.accounts.row[1] == kept.accounts.row[1]


def test_an_account_that_is_over_rests():
    made = simulator()
    for _ in range(10):
        made.step(TARGETS)
    assert made.truncated.all()
    before = made.accounts.copy()
    rewards = made.step(TARGETS)
    assert rewards.tolist() == [0.0, 0.0]
    assert (made.ledgers.turnover == 0.0).all()
    assert (made.steps.equity == before.equity).all()
    assert (made.accounts == before).all()
    assert made.truncated.all()


COPIES = {"copy": copy.copy, "deepcopy": copy.deepcopy, "pickle": lambda x: pickle.loads(pickle.dumps(x))}


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_goes_on_by_itself_where_its_original_stands(way):
    made = simulator(controls=(CoolDown("3h"),), reward="differential_sharpe")
    for _ in range(3):
        made.step(TARGETS)
    other = COPIES[way](made)
    before = made.accounts.copy()
    rewards = [other.step(TARGETS) for _ in range(3)]
    assert (made.accounts == before).all()  # the original has not moved
    expected = [made.step(TARGETS) for _ in range(3)]
    np.testing.assert_array_equal(rewards, expected)
    np.testing.assert_array_equal(other.observations, made.observations)


@pytest.mark.parametrize("way", ["deepcopy", "pickle"])
def test_a_copied_env_outlives_its_original(way):
    env = PerpetualEnv(MARKET, table(MARKET), decision_interval="1h", episode_length="10h")
    env.reset(seed=1)
    env.step(np.zeros(1))
    twin = COPIES[way](env)
    expected = [env.step(np.full(1, 0.3)) for _ in range(4)]
    del env
    gc.collect()
    for found in ([twin.step(np.full(1, 0.3)) for _ in range(4)],):
        for one, another in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one[0], another[0])
            assert one[1:] == another[1:]
