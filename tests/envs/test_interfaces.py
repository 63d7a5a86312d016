"""Every face of the Simulator keeps its library's manners and gives the same trajectories."""

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import gearing

N_ENVS, N_STEPS, SEED = 5, 60, 11


@pytest.fixture(scope="module")
def market():
    return gearing.synthetic_market("market-b", seed=5, years=1)


@pytest.fixture(scope="module")
def settings(market):
    # High leverage on short episodes: liquidations, ruins and time limits all happen within the steps below.
    return {
        "market": market,
        "max_leverage": 60.0,
        "decision_interval": "8h",
        "episode_length": "8d",
        "ruin_fraction": 0.3,
    }


@pytest.fixture(scope="module")
def actions():
    return np.random.default_rng(0).uniform(-1.0, 1.0, (N_STEPS, N_ENVS, 1)).astype(np.float32)


def run_vector(envs, actions):
    """(observations, rewards, terminated, truncated) of a vector env, stacked over steps."""
    observation, _ = envs.reset(seed=SEED)
    seen = [(observation, np.zeros(N_ENVS), np.zeros(N_ENVS, bool), np.zeros(N_ENVS, bool))]
    for action in actions:
        seen.append(envs.step(action)[:4])
    return [np.stack(part) for part in zip(*seen, strict=True)]


def test_gymnasium_finds_nothing_to_complain_about(settings):
    env = gymnasium.make("gearing/Perpetual-v0", **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped, skip_render_check=True)


def test_stable_baselines3_finds_nothing_to_complain_about(settings):
    from stable_baselines3.common.env_checker import check_env as check_sb3

    env = gymnasium.make("gearing/Perpetual-v0", **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_sb3(env, warn=True)


def test_native_batch_equals_sync_vector_env_of_the_scalar_to_the_last_bit(settings, actions):
    native = gymnasium.make_vec("gearing/Perpetual-v0", num_envs=N_ENVS, **settings)
    copies = gymnasium.make_vec(
        "gearing/Perpetual-v0", num_envs=N_ENVS, vectorization_mode="sync", **settings
    )
    ours, theirs = run_vector(native, actions), run_vector(copies, actions)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine, other)
    assert ours[2].any()  # somebody was ruined
    assert ours[3].any()  # and somebody reached the time limit


def test_stable_baselines3_interface_equals_same_step_reset_of_the_native_batch(settings, actions):
    from gearing.envs.sb3 import PerpetualVecEnv

    native = gymnasium.make_vec(
        "gearing/Perpetual-v0", num_envs=N_ENVS, autoreset_mode="SameStep", **settings
    )
    face = PerpetualVecEnv(N_ENVS, seed=SEED, **settings)
    np.testing.assert_array_equal(native.reset(seed=SEED)[0], face.reset())
    endings = 0
    for action in actions:
        observation, reward, terminated, truncated, info = native.step(action)
        face_observation, face_reward, done, infos = face.step(action)
        np.testing.assert_array_equal(observation, face_observation)
        np.testing.assert_array_equal(reward.astype(np.float32), face_reward)
        np.testing.assert_array_equal(terminated | truncated, done)
        for i in np.flatnonzero(done):
            endings += 1
            np.testing.assert_array_equal(info["final_obs"][i], infos[i]["terminal_observation"])
            assert infos[i]["TimeLimit.truncated"] == truncated[i]
    assert endings > 0


def test_trajectories_do_not_depend_on_the_number_of_accounts(settings, actions):
    few = gymnasium.make_vec("gearing/Perpetual-v0", num_envs=2, **settings)
    many = gymnasium.make_vec("gearing/Perpetual-v0", num_envs=N_ENVS, **settings)
    few.reset(seed=SEED)
    many.reset(seed=SEED)
    for action in actions:
        np.testing.assert_array_equal(few.step(action[:2])[0], many.step(action)[0][:2])


@pytest.mark.slow
def test_two_threads_give_the_numbers_of_one(settings, actions):
    one = gymnasium.make_vec("gearing/Perpetual-v0", num_envs=N_ENVS, **settings)
    two = gymnasium.make_vec("gearing/Perpetual-v0", num_envs=N_ENVS, n_threads=2, **settings)
    for mine, other in zip(run_vector(one, actions), run_vector(two, actions), strict=True):
        np.testing.assert_array_equal(mine, other)


def test_every_step_explains_its_change_of_equity(settings, actions):
    envs = gymnasium.make_vec("gearing/Perpetual-v0", num_envs=N_ENVS, **settings)
    envs.reset(seed=SEED)
    for action in actions:
        info = envs.step(action)[4]
        parts = info["price_pnl"] + info["fees"] + info["funding"] + info["liquidation"]
        stepped = info["_equity_before"]  # the others were reset
        change = info["equity"] - info["equity_before"]
        np.testing.assert_allclose(parts[stepped], change[stepped], atol=1e-7)


def test_faces_return_fresh_arrays(settings, actions):
    envs = gymnasium.make_vec("gearing/Perpetual-v0", num_envs=N_ENVS, **settings)
    first, _ = envs.reset(seed=SEED)
    kept = first.copy()
    envs.step(actions[0])
    np.testing.assert_array_equal(first, kept)


def test_an_unknown_setting_is_refused_with_the_nearest_name(market):
    with pytest.raises(TypeError, match="Did you mean 'margin_share'"):
        gymnasium.make("gearing/Perpetual-v0", market=market, margin_shar=0.5)


def test_leverage_beyond_the_contract_is_refused(market):
    with pytest.raises(ValueError, match="lower max_leverage"):
        gymnasium.make("gearing/Perpetual-v0", market=market, max_leverage=180.0)


def test_an_action_outside_the_space_is_refused(settings):
    env = gymnasium.make("gearing/Perpetual-v0", **settings).unwrapped
    env.reset(seed=0)
    with pytest.raises(ValueError, match="clip them"):
        env.step(np.array([1.5]))


def test_rendering_reports_and_draws_the_last_step(settings):
    env = gymnasium.make("gearing/Perpetual-v0", render_mode="ansi", **settings)
    env.reset(seed=1)
    env.step(np.array([0.0], np.float32))
    assert "equity" in env.render()
    picture = gymnasium.make("gearing/Perpetual-v0", render_mode="rgb_array", **settings)
    picture.reset(seed=1)
    picture.step(np.array([0.0], np.float32))
    image = picture.render()
    assert image.dtype == np.uint8
    assert image.ndim == 3


@pytest.mark.parametrize("seed", [0, 3])
def test_the_same_seed_replays_the_same_episode(settings, actions, seed):
    env = gymnasium.make("gearing/Perpetual-v0", **settings)
    runs = []
    for _ in range(2):
        rewards = []
        env.reset(seed=seed)
        for action in actions[:10, 0]:
            _, reward, terminated, truncated, _ = env.step(action)
            rewards.append(reward)
            if terminated or truncated:
                break
        runs.append(rewards)
    assert runs[0] == runs[1]
