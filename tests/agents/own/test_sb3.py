"""Models of stable-baselines3 as policies: the same actions as the library's own predict."""

import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from tests.agents.own.models import BOX, CLASSES, COLUMNS, Numbers, meaning, model, observations

import gearing
from gearing.agents import from_sb3
from gearing.agents.own.sb3 import from_sb3 as read


def actions_of(policy, raw):
    masks = {"action_masks": np.ones((len(raw), 5), bool)} if policy.masked else {}
    return policy.network.predict(raw, None, None, True, **masks)[0]


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("stored", [False, True], ids=["object", "zip"])
def test_a_model_decides_as_its_own_predict_does(name, stored, tmp_path):
    made, raw = model(name), observations()
    made.save(tmp_path / "model.zip")
    policy = read(tmp_path / "model.zip" if stored else made, COLUMNS, **meaning(name))
    expected, _ = made.predict(raw, deterministic=True)
    np.testing.assert_allclose(actions_of(policy, raw).reshape(-1), expected.reshape(-1), atol=2e-6)
    assert policy.required_columns == ("log_return", "realized_volatility_24h", "trend_7d")


def test_actions_in_minus_one_to_one_are_shares_of_the_largest_leverage():
    made, raw = model("ppo", spaces.Box(-1.0, 1.0, (1,), np.float32)), observations()
    share = made.predict(raw, deterministic=True)[0]
    # -1 is flat and 1 is 8x: 4 (a + 1); signed, -1 is 8x short: 8 a.
    long = from_sb3(made, COLUMNS, max_leverage=8)
    both = from_sb3(made, COLUMNS, max_leverage=8, signed=True)
    np.testing.assert_allclose(actions_of(long, raw), 4.0 * (share + 1.0), atol=1e-6)
    np.testing.assert_allclose(actions_of(both, raw), 8.0 * share, atol=1e-6)
    assert long.settings == {"max_leverage": 8.0}
    assert both.settings == {"max_leverage": 8.0, "direction": "free"}


def test_observations_are_scaled_as_vec_normalize_did(tmp_path):
    envs = VecNormalize(DummyVecEnv([lambda: Numbers(BOX)]), clip_obs=2.0)
    made = CLASSES["ppo"][0]("MlpPolicy", envs, seed=0)
    made.learn(2048)
    raw = observations()
    with pytest.raises(ValueError, match="scaled by VecNormalize"):
        from_sb3(made, COLUMNS, action="target")
    policy = from_sb3(made, COLUMNS, action="target", normalisation=envs)
    expected, _ = made.predict(envs.normalize_obs(raw), deterministic=True)
    np.testing.assert_allclose(actions_of(policy, raw), expected, atol=1e-5)
    bare = from_sb3(made, COLUMNS, action="target", normalisation=False)
    assert np.abs(actions_of(bare, raw) - expected).max() > 0.01


def test_a_recurrent_model_keeps_its_state_and_forgets_where_an_episode_begins():
    made, raw = model("recurrent_ppo"), observations()
    policy = from_sb3(made, COLUMNS, action="target")
    state, own = None, None
    for k in range(5):
        begins = np.full(40, k == 0)
        begins[:10] = k == 3
        expected, state = made.predict(raw + k, state, begins, deterministic=True)
        found, own = policy.network.predict(raw + k, own, begins, True)
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("action", ["leverage", "tiers", "residual"])
def test_a_model_trained_in_a_gearing_environment_needs_no_further_words(action):
    market = gearing.synthetic_market("market-b", seed=3, years=0.3)
    from stable_baselines3 import PPO

    from gearing.envs.sb3 import PerpetualVecEnv
    from gearing.policies.rules import FixedLeverage
    from gearing.simulation import ResidualScheme

    scheme = ResidualScheme(5.0, FixedLeverage(2.0)) if action == "residual" else action
    envs = PerpetualVecEnv(
        2,
        market,
        ["log_return", "realized_volatility_24h"],
        decision_interval="24h",
        max_leverage=5,
        action=scheme,
    )
    made = PPO("MlpPolicy", envs, seed=0)
    policy = from_sb3(made)
    result = gearing.backtest(
        policy, market, ["log_return", "realized_volatility_24h"], decision_interval="24h"
    )
    # The targets of the environment itself, at the same observations.
    envs.reset()
    simulator = envs.simulator
    expected = simulator.targets(made.predict(simulator.observations, deterministic=True)[0].reshape(2, 1))
    from gearing.evaluation.playing import signed_targets

    found, _ = signed_targets(policy, simulator, None, np.ones(2, bool))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert len(result.target)
    assert "margin_ratio" in policy.description.names


def test_the_callers_model_stays_as_it_is():
    made = model("ppo")
    made.policy.set_training_mode(True)
    from_sb3(made, COLUMNS, action="target")
    assert made.policy.training


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"columns": COLUMNS[:3], "action": "target"}, "reads 4 columns, and 3 are named"),
        ({"columns": COLUMNS[:3] * 2, "action": "target"}, "twice"),
        ({"columns": "log_return", "action": "target"}, "give the names of the observation's columns"),
        ({"columns": COLUMNS}, "action 'leverage' is of Box"),
        ({"columns": COLUMNS, "action": "targett"}, "Did you mean 'target'"),
        ({"columns": COLUMNS, "action": "tiers", "levels": [1]}, "returns continuous actions"),
        ({"columns": COLUMNS, "action": "target", "max_leverage": 3}, "Drop max_leverage"),
        ({"columns": [f"{c}[BTC]" for c in COLUMNS], "action": "target"}, "decides for one contract"),
        ({}, "none of gearing's"),
        ({"columns": COLUMNS, "environment": object()}, "are those of its environment"),
    ],
)  # fmt: skip
def test_arguments_that_do_not_fit_a_model_are_refused(given, message):
    with pytest.raises((TypeError, ValueError), match=message):
        from_sb3(model("ppo"), **given)


@pytest.mark.parametrize(
    ("levels", "message"),
    [(None, "needs levels"), ([0, 1], "5 choices, and levels names 2"), ([0, 2, 1, 3, 4], "ascending"),
     ([0, 1, 2, 3, -1], "ascending"), ("01234", "ascending")],
)  # fmt: skip
def test_levels_that_do_not_fit_the_choices_are_refused(levels, message):
    with pytest.raises(ValueError, match=message):
        from_sb3(model("dqn"), COLUMNS, levels=levels)


def test_what_is_no_model_is_refused():
    with pytest.raises(TypeError, match="give a trained model of PPO"):
        from_sb3(object(), COLUMNS)


def test_a_model_of_two_contracts_reads_the_columns_of_each():
    box = spaces.Box(-1.0, 1.0, (2,), np.float32)
    names = [
        f"{column}[{symbol}]" for symbol in ("A", "B") for column in ("log_return", "effective_leverage")
    ]
    policy = from_sb3(model("ppo", box), names, max_leverage=3)
    assert (policy.required_columns, policy.description.slots) == (("log_return",), ("A", "B"))
    market = gearing.synthetic_market("market-b", seed=3, years=0.1, contracts=("A", "B"))
    settings = {"decision_interval": "24h", "direction": "long", "margin_share": 0.3, "max_leverage": 3.0}
    result = gearing.backtest(policy, market, **settings)
    assert result.target.shape[1] == 2
    with pytest.raises(ValueError, match=r"write the columns of each contract as COLUMN\[SYMBOL\]"):
        from_sb3(model("ppo", box), COLUMNS, max_leverage=3)
