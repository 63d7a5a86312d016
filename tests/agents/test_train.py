"""gearing.train: the same weights as train_agent, and a policy that knows the account that it was trained for."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from tests.agents.test_training import TINY
from tests.agents.toy import announced_market, toy_config

import gearing
from gearing.agents import load_policy, train_agent
from gearing.contracts import venue
from gearing.export import BundleError, export_bundle
from gearing.policies.controls import DailyLossLimit
from gearing.simulation import ResidualScheme, action_scheme
from gearing.simulation.actions import SCHEMES

MARKET, TABLE = announced_market()
ACCOUNT = {"max_leverage": 3.0, "margin_share": 0.5, "slippage": 0.0, "decision_interval": "24h"}


def trained(features=TABLE, **settings):
    return gearing.train(TINY, MARKET, features, seed=3, total_decisions=256, **{**ACCOUNT, **settings})


@pytest.fixture(scope="module")
def policy():
    return trained()


def test_it_has_the_weights_of_train_agent_with_the_same_arguments(policy):
    other = train_agent(TINY, MARKET, TABLE, toy_config(), seed=3, total_decisions=256).policy
    mine, theirs = policy.network.state_dict(), other.network.state_dict()
    assert mine.keys() == theirs.keys()
    assert all(np.array_equal(mine[name].numpy(), theirs[name].numpy()) for name in mine)


def test_a_backtest_plays_it_with_the_settings_of_its_training(policy):
    assert policy.settings == ACCOUNT | {"slippage": gearing.Slippage(constant=0.0)}
    plain = gearing.backtest(policy, MARKET, TABLE)
    stated = gearing.backtest(policy, MARKET, TABLE, **ACCOUNT)
    assert plain.config.margin_share == 0.5
    np.testing.assert_array_equal(plain.equity, stated.equity)
    assert gearing.backtest(policy, MARKET, TABLE, margin_share=0.25).config.margin_share == 0.25


def test_a_saved_policy_comes_back_with_its_settings(policy, tmp_path):
    guarded = trained(controls=[DailyLossLimit(0.1)], venue=venue("bybit"))
    guarded.save(tmp_path)
    loaded = load_policy(tmp_path)
    assert loaded.settings == {**guarded.settings, "venue": "bybit"}
    first, second = (gearing.backtest(one, MARKET, TABLE) for one in (guarded, loaded))
    np.testing.assert_array_equal(first.equity, second.equity)


def test_a_policy_of_a_venue_that_is_not_registered_is_not_saved(tmp_path):
    other = trained(venue=replace(venue("bybit"), name="mine"))
    with pytest.raises(ValueError, match="not registered"):
        other.save(tmp_path)


def test_a_rule_as_action_is_scaled_by_the_agent():
    scaled = trained(action=gearing.rules.FixedLeverage(1.5))
    assert scaled.scheme == ResidualScheme(3.0, base=gearing.rules.FixedLeverage(1.5))


def test_features_are_computed_by_name_on_every_market():
    market = gearing.synthetic_market("market-b", seed=1, years=0.2)
    policy = gearing.train(TINY, market, ["log_return"], total_decisions=256, max_leverage=3.0)
    assert policy.required_columns == ("log_return",)
    assert np.isfinite(gearing.backtest(policy, market).equity).all()


def test_an_unknown_setting_and_an_unknown_feature_are_refused():
    with pytest.raises(TypeError, match="margin_share"):
        trained(margin_shares=0.5)
    with pytest.raises(ValueError, match="log_return"):
        trained(features=["log_returns"])


@pytest.fixture
def steps():
    @action_scheme("steps")
    @dataclass(frozen=True)
    class Steps:
        """Leverages in whole numbers."""

        max_leverage: float
        n_choices: ClassVar[None] = None
        required_columns: ClassVar[tuple[str, ...]] = ()

        def leverage(self, actions, observation, free):
            return np.round(0.5 * (actions + 1.0) * self.max_leverage)

    yield Steps
    SCHEMES.remove("steps")


def test_an_action_scheme_of_ones_own_is_trained_saved_and_played_but_not_exported(steps, tmp_path):
    policy = trained(action="steps")
    policy.save(tmp_path / "policy")
    loaded = load_policy(tmp_path / "policy")
    assert loaded.scheme == steps(3.0)
    result = gearing.backtest(loaded, MARKET, TABLE)
    assert set(np.unique(result.target)) <= {0.0, 1.0, 2.0, 3.0}
    with pytest.raises(BundleError, match="Steps cannot be exported"):
        export_bundle(loaded, tmp_path / "bundle", market=MARKET, table=TABLE, config=toy_config())
