"""Hooks that a policy does not have take their defaults, and those that it has are used wherever it is played."""

import numpy as np

import gearing
from gearing.evaluation.backtesting import run_account
from gearing.policies.rules import FixedLeverage
from gearing.simulation import SimulationConfig, Simulator
from gearing.simulation.actions import TierScheme
from gearing.simulation.hooks import hooks_of


class Masked:
    """Takes the largest choice that the margin tiers allow, and counts how often it was given masks."""

    required_columns = ()
    action_scheme = "tiers"
    scheme = TierScheme(max_leverage=20.0, levels=(0.0, 1.0, 3.0))
    masked = True

    def __init__(self):
        self.given, self.settings = [], {"max_leverage": 20.0}

    def predict(self, observation, state=None, episode_start=None, deterministic=False, action_masks=None):
        self.given.append(action_masks.shape)
        return np.where(action_masks, [0, 1, 2], 0).max(axis=1, keepdims=True), state


def test_a_rule_has_the_defaults():
    hooks = hooks_of(FixedLeverage(2.0))
    assert (hooks.settings, hooks.scheme, hooks.masked, hooks.network) == ({}, None, False, None)
    assert hooks.join is None
    assert hooks.precomputed is None


def test_a_masked_policy_is_given_the_choices_that_the_tiers_allow_and_its_own_scheme_maps_them():
    market = gearing.synthetic_market("market-b", seed=5, years=0.3)
    table = gearing.FeatureSet(["log_return"]).compute(market)
    policy = Masked()
    simulator = Simulator(market, table, SimulationConfig(start="first", **hooks_of(policy).settings))
    result = run_account(policy, simulator)
    assert set(policy.given) == {(1, 3)}
    assert (result.target == 3.0).all()
