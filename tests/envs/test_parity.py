"""The native batches do what Gymnasium's and stable-baselines3's loops over scalar envs do, call by call."""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import HealthCheck, given, settings, strategies as st
from tests.simulation.markets import contract, market, table

from gearing.envs.perpetual import PerpetualEnv
from gearing.envs.vector import PerpetualVectorEnv

N = 3
RNG = np.random.default_rng(2)
MARKET = market(100.0 * np.exp(np.cumsum(0.02 * RNG.standard_normal(80))), [contract("X", top=50.0)])
# A step or two ruins an account at 50x, and an episode has six steps: everything happens within a few calls.
SETTINGS: dict[str, Any] = {
    "market": MARKET, "features": table(MARKET), "max_leverage": 50.0, "decision_interval": "1h",
    "episode_length": "6h", "ruin_fraction": 0.5, "direction": "free",
}  # fmt: skip
SEED = st.integers(0, 2**40)
SEEDS = st.one_of(SEED, st.lists(st.one_of(st.none(), SEED), min_size=N, max_size=N))
WRONG_SEEDS = st.one_of(st.just(-1), st.lists(SEED, max_size=N - 1), st.just(["a"] * N))
MASKS = st.lists(st.booleans(), min_size=N, max_size=N).filter(any)
WRONG_MASKS = st.sampled_from(
    [[True] * N, np.ones(N + 1, bool), np.zeros(N, bool), np.ones(N), np.ones((N, 1), bool)]
)
ACTIONS = st.lists(st.sampled_from([-1.0, -0.3, 0.0, 0.1, 1.0]), min_size=N, max_size=N)
CALLS = st.one_of(
    st.tuples(st.just("reset"), SEEDS),
    st.tuples(st.just("reset some"), st.tuples(MASKS, st.one_of(st.none(), SEEDS))),
    st.tuples(st.just("step"), ACTIONS),
    st.tuples(st.just("step"), ACTIONS),
    st.tuples(st.just("step"), ACTIONS),
    st.tuples(st.just("steps"), ACTIONS),
    st.tuples(st.just("wrong seed"), WRONG_SEEDS),
    st.tuples(st.just("wrong mask"), WRONG_MASKS),
)
BRIEF = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


def scalar() -> PerpetualEnv:
    return PerpetualEnv(**SETTINGS)


def assert_same(ours: Any, theirs: Any, where: str) -> None:
    """Equal in type, shape, dtype and value, dictionaries and sequences element by element."""
    if isinstance(theirs, dict):
        assert set(ours) == set(theirs), where
        for name in theirs:
            assert_same(ours[name], theirs[name], f"{where}[{name!r}]")
    elif isinstance(theirs, list | tuple):
        assert len(ours) == len(theirs), where
        for k, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
            assert_same(mine, other, f"{where}[{k}]")
    elif isinstance(theirs, np.ndarray):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape), where
        if theirs.dtype == object:
            assert_same(list(ours), list(theirs), where)
        else:
            np.testing.assert_array_equal(ours, theirs, err_msg=where)
    else:
        assert type(ours) is type(theirs), where
        assert ours == theirs, where


def outcome(call: Callable[[], Any]) -> Any:
    """What a call returns, or the class of its error."""
    try:
        return call()
    except Exception as error:
        return error


def compare(mine: Any, other: Any, where: str) -> None:
    """The same results, or errors of which ours can be caught as theirs."""
    if isinstance(other, Exception):
        kinds = (ValueError, TypeError, AssertionError, gymnasium.error.Error)
        kind = next((k for k in kinds if isinstance(other, k)), Exception)
        assert isinstance(mine, kind), f"{where}: {mine!r} where {other!r} was expected"
        return
    assert not isinstance(mine, Exception), f"{where}: {mine!r}"
    assert_same(mine, other, where)


def perform(envs: Any, name: str, given: Any) -> Any:
    """One call of a Gymnasium vector env."""
    if name == "reset":
        return outcome(lambda: envs.reset(seed=given))
    if name == "reset some":
        mask, seed = given
        return outcome(lambda: envs.reset(seed=seed, options={"reset_mask": np.array(mask)}))
    if name == "wrong seed":
        return outcome(lambda: envs.reset(seed=given))
    if name == "wrong mask":
        return outcome(lambda: envs.reset(options={"reset_mask": given}))
    actions = np.array(given, np.float32)[:, None]
    repeats = 7 if name == "steps" else 1
    return [outcome(lambda: envs.step(actions)) for _ in range(repeats)]


@pytest.mark.parametrize("mode", list(AutoresetMode))
@BRIEF
@given(first=SEEDS.filter(lambda s: isinstance(s, int) or None not in s), calls=st.lists(CALLS, max_size=8))
def test_any_sequence_of_calls_gives_what_sync_vector_env_gives(mode, first, calls):
    native = PerpetualVectorEnv(N, autoreset_mode=mode, **SETTINGS)
    copies = SyncVectorEnv([scalar] * N, autoreset_mode=mode)
    for k, (name, given_) in enumerate([("reset", first), *calls]):
        mine, other = (perform(envs, name, given_) for envs in (native, copies))
        failed = [r for r in (other if isinstance(other, list) else [other]) if isinstance(r, Exception)]
        if isinstance(other, list):
            for one, another in zip(mine, other, strict=True):
                compare(one, another, f"call {k}, {name}")
        else:
            compare(mine, other, f"call {k}, {name}")
        if failed and mode is not AutoresetMode.DISABLED:
            # A loop that fails has reset or stepped the envs before the one at fault; ours has not.
            break
        if failed:
            native.reset(seed=1)
            copies.reset(seed=1)


VEC_CALLS = st.one_of(
    st.tuples(st.just("seed"), SEED), st.tuples(st.just("reset"), st.none()), st.tuples(st.just("step"), ACTIONS),
    st.tuples(st.just("steps"), ACTIONS), st.tuples(st.just("options"), st.sampled_from([{}, {"a": 1}, None])),
    st.tuples(st.just("read"), st.sampled_from(["render_mode", "metadata", "observation_space", "nothing"])),
    st.tuples(st.just("call"), st.sampled_from(["spec_table", "nothing"])),
    st.tuples(st.just("set"), st.sampled_from([None, 0, [0, 2], -1])),
    st.tuples(st.just("wrapped"), st.sampled_from([gymnasium.Wrapper, gymnasium.wrappers.TimeLimit])),
)  # fmt: skip


def perform_vec(envs: Any, name: str, given: Any) -> Any:
    """One call of a stable-baselines3 VecEnv."""
    actions = None if name not in ("step", "steps") else np.array(given, np.float32)[:, None]
    if name == "step":
        return [outcome(lambda: envs.step(actions)), envs.reset_infos]
    if name == "steps":
        return [outcome(lambda: envs.step(actions)) for _ in range(7)]
    calls: dict[str, Callable[[], Any]] = {
        "seed": lambda: envs.seed(given),
        "reset": lambda: [envs.reset(), envs.reset_infos],
        "options": lambda: envs.set_options(given),
        "read": lambda: [str(envs.get_attr(given)), str(envs.get_attr(given, 1)), envs.has_attr(given)],
        "call": lambda: [t.to_numpy().tolist() for t in envs.env_method(given, indices=[0, 2])],
        "set": lambda: [envs.set_attr("mine", 3, indices=given), envs.get_attr("mine", indices=given)],
        "wrapped": lambda: envs.env_is_wrapped(given),
    }
    return outcome(calls[name])


def without_episodes(result: Any) -> Any:
    """Our infos have the key of a Monitor, which a loop over scalar envs has with a Monitor only."""
    if isinstance(result, dict):
        return {name: without_episodes(value) for name, value in result.items() if name != "episode"}
    if isinstance(result, list | tuple):
        return [without_episodes(value) for value in result]
    return result


@BRIEF
@given(seed=SEED, calls=st.lists(VEC_CALLS, max_size=8))
def test_any_sequence_of_calls_gives_what_dummy_vec_env_gives(seed, calls):
    from stable_baselines3.common.vec_env import DummyVecEnv

    from gearing.envs.sb3 import PerpetualVecEnv

    native, copies = PerpetualVecEnv(N, **SETTINGS), DummyVecEnv([scalar] * N)
    for k, (name, given_) in enumerate([("seed", seed), ("reset", None), *calls]):
        mine, other = (without_episodes(perform_vec(envs, name, given_)) for envs in (native, copies))
        if isinstance(other, list):
            for one, another in zip(mine, other, strict=True):
                compare(one, another, f"call {k}, {name}")
        else:
            compare(mine, other, f"call {k}, {name}")


def test_a_vec_monitor_wraps_the_batch_without_a_warning():
    from stable_baselines3.common.vec_env import VecMonitor

    from gearing.envs.sb3 import PerpetualVecEnv

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        envs = VecMonitor(PerpetualVecEnv(N, **SETTINGS))
    envs.reset()
    for _ in range(6):
        *_, dones, infos = envs.step(np.zeros((N, 1), np.float32))
    assert dones.all()
    assert infos[0]["episode"]["l"] == 6


@pytest.mark.parametrize("kind", ["scalar", "vector", "sb3"])
def test_a_step_before_the_first_reset_is_refused(kind):
    from gearing.envs.sb3 import PerpetualVecEnv

    made = {"scalar": scalar, "vector": lambda: PerpetualVectorEnv(N, **SETTINGS),
            "sb3": lambda: PerpetualVecEnv(N, **SETTINGS)}[kind]()  # fmt: skip
    with pytest.raises(ResetNeeded, match="reset"):
        made.step(np.zeros((1, 1) if kind == "scalar" else (N, 1), np.float32))
    # The same after a reset of some, and nothing is in the way of a proper beginning.
    if kind == "vector":
        with pytest.raises(ResetNeeded, match="never reset"):
            made.reset(options={"reset_mask": np.array([True, False, False])})
    made.reset()
    made.step(np.zeros((1, 1) if kind == "scalar" else (N, 1), np.float32))


def test_a_scalar_episode_that_is_over_rests_with_a_warning():
    env = scalar()
    env.reset(seed=0)
    for _ in range(6):
        *_, truncated, _ = env.step(np.zeros(1, np.float32))
    assert truncated
    equity = env.simulator.accounts.equity[0]
    for _ in range(2):
        with pytest.warns(UserWarning, match="after the end"):
            _, reward, terminated, truncated, info = env.step(np.ones(1, np.float32))
        assert (reward, terminated, truncated) == (0.0, False, True)
        assert info["equity"] == info["equity_before"] == equity
        assert info["turnover"] == info["fees"] == info["log_growth"] == 0.0
    env.reset()
    env.step(np.zeros(1, np.float32))


@pytest.mark.parametrize("copied", [True, False])
def test_what_a_caller_writes_into_returned_arrays_changes_nothing(copied):
    spoilt = PerpetualVectorEnv(N, copy=copied, autoreset_mode="SameStep", **SETTINGS)
    kept = PerpetualVectorEnv(N, autoreset_mode="SameStep", **SETTINGS)
    spoilt.reset(seed=4)
    kept.reset(seed=4)
    for k in range(15):
        actions = np.full((N, 1), 0.2 * (k % 5), np.float32)
        mine, other = spoilt.step(actions), kept.step(actions)
        assert_same(mine, other, f"step {k}")
        actions[:] = np.nan
        for array in (
            *mine[:4],
            *(v for v in mine[4].values() if isinstance(v, np.ndarray) and v.dtype != object),
        ):
            array[...] = 1


SB3_SEEDS = [-1, 1.5, "a", [1, 2], {1: 2}, np.array(3)]


@pytest.mark.parametrize("seed", SB3_SEEDS, ids=repr)
def test_a_wrong_seed_is_refused_by_name(seed):
    from gearing.envs.sb3 import PerpetualVecEnv

    envs = PerpetualVectorEnv(N, **SETTINGS)
    for refuse in (lambda: envs.reset(seed=seed), lambda: PerpetualVecEnv(N, seed=seed, **SETTINGS)):
        with pytest.raises((TypeError, ValueError, gymnasium.error.Error), match=r"[Ss]eeds? "):
            refuse()


@pytest.mark.parametrize(
    ("options", "error"), [({"start": "2021"}, ValueError), (3, TypeError), ("reset_mask", TypeError)]
)
@pytest.mark.parametrize("kind", ["scalar", "vector", "sb3"])
def test_options_that_would_not_be_read_are_refused(kind, options, error):
    from gearing.envs.sb3 import PerpetualVecEnv

    if kind == "sb3":
        envs = PerpetualVecEnv(N, **SETTINGS)
        envs.set_options(options)
        refuse = envs.reset
    else:
        made = scalar() if kind == "scalar" else PerpetualVectorEnv(N, **SETTINGS)
        refuse = partial(made.reset, options=options)
    with pytest.raises(error, match="reset"):
        refuse()


@pytest.mark.parametrize(
    "call",
    [lambda e: e.get_images(), lambda e: e.render(), lambda e: e.env_method("render"), lambda e: e.action_masks(),
     lambda e: e.env_method("action_masks")],
)  # fmt: skip
def test_frames_and_masks_before_the_first_reset_are_refused(call):
    from gearing.envs.sb3 import PerpetualVecEnv

    settings_ = SETTINGS | {"action": "tiers", "direction": "long"}
    with pytest.raises(ResetNeeded, match="reset"):
        call(PerpetualVecEnv(N, render_mode="rgb_array", **settings_))


def test_masks_of_continuous_actions_are_refused():
    env = scalar()
    env.reset(seed=0)
    with pytest.raises(TypeError, match="action='tiers'"):
        env.action_masks()


@pytest.mark.parametrize("index", ["x", 1.5, slice(0, 2), [0, "x"]])
def test_an_index_of_an_account_is_a_whole_number(index):
    from gearing.envs.sb3 import PerpetualVecEnv

    with pytest.raises(TypeError, match="index of an account"):
        PerpetualVecEnv(N, **SETTINGS).get_attr("render_mode", index)


@pytest.mark.parametrize("direction", ["free", "long"])
@pytest.mark.parametrize("edge", [1.0, -1.0])
def test_an_action_beyond_its_bounds_by_rounding_is_the_bound(direction, edge):
    rewards = []
    for action in (edge, edge * (1.0 + 5e-7)):
        env = PerpetualEnv(**SETTINGS | {"direction": direction})
        env.reset(seed=0)
        rewards.append(env.step([action])[1])
    assert rewards[0] == rewards[1]


@pytest.mark.parametrize(
    ("given_", "says"),
    [({"start": "nowhere"}, "'random' or 'first'"), ({"start": "2020-13-01"}, "start"),
     ({"action": "tiers", "direction": "free"}, "no side")],
)  # fmt: skip
def test_what_no_episode_can_be_made_of_is_refused_when_the_environment_is_made(given_, says):
    with pytest.raises(ValueError, match=says):
        PerpetualEnv(**SETTINGS | given_)


@pytest.mark.parametrize("growth", ["a", MARKET, np.zeros((80, 2)), np.full(80, np.nan)])
def test_an_oracle_growth_is_one_finite_number_per_bar(growth):
    with pytest.raises((TypeError, ValueError), match="oracle_growth"):
        PerpetualEnv(oracle_growth=growth, **SETTINGS)


WRONG = {
    "too few": (np.zeros((N - 1, 1)), ValueError, "shape"),
    "too many columns": (np.zeros((N, 2)), ValueError, "shape"),
    "transposed": (np.zeros((1, N)), ValueError, "shape"),
    "not a number": (np.full((N, 1), np.nan), ValueError, "nan"),
    "outside": (np.full((N, 1), 1.5), ValueError, "clip"),
    "text": ([["a"]] * N, TypeError, "number"),
    "nothing": (None, TypeError, "number"),
    "written numbers": ([["0.5"]] * N, TypeError, "number"),
    "flags": (np.zeros((N, 1), bool), TypeError, "number"),
    "dates": (np.zeros((N, 1), "datetime64[ms]"), TypeError, "number"),
}


@pytest.mark.parametrize(("actions", "error", "says"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_action_is_refused_and_changes_nothing(actions, error, says):
    envs = PerpetualVectorEnv(N, **SETTINGS)
    envs.reset(seed=0)
    with pytest.raises(error, match=says):
        envs.step(actions)
    untouched = PerpetualVectorEnv(N, **SETTINGS)
    untouched.reset(seed=0)
    assert_same(envs.step(np.zeros((N, 1))), untouched.step(np.zeros((N, 1))), "after the refusal")


@pytest.mark.parametrize("choice", [-1, 9, 0.5, True])
def test_a_choice_that_does_not_exist_is_refused(choice):
    env = PerpetualEnv(**SETTINGS | {"action": "tiers", "direction": "long"})
    env.reset(seed=0)
    with pytest.raises((ValueError, TypeError), match=r"0 to 8"):
        env.step(choice)


def test_every_account_can_be_rendered():
    envs = PerpetualVectorEnv(2, render_mode="rgb_array", **SETTINGS)
    envs.reset(seed=0)
    envs.step(np.zeros((2, 1), np.float32))
    frames = envs.render()
    assert len(frames) == 2
    assert frames[0].dtype == np.uint8
    text = PerpetualVectorEnv(2, render_mode="ansi", **SETTINGS)
    text.reset(seed=0)
    assert all("equity" in line for line in text.render())
    assert text.call("render") == text.render()


@pytest.mark.parametrize("name", ["simulator", "action_masks"])
def test_what_belongs_to_the_whole_batch_cannot_be_set_for_an_account(name):
    envs = PerpetualVectorEnv(2, **SETTINGS)
    with pytest.raises(AttributeError, match="whole"):
        envs.set_attr(name, 1)
