"""The policy of a backtest: rules with their settings, and classes of one's own."""

import pytest

from gearing.cli.policies import split_settings
from gearing.policies.rules import FixedLeverage, VolatilityWeighted
from gearing.studies.named.policy import named_policy

OWN = """\
class Mine:
    required_columns = ()
    action_scheme = "target"

    def __init__(self, leverage, step=1.0):
        self.leverage = leverage

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return self.leverage, state


class Nothing:
    pass


ready = Mine(2.0)
"""
RIGHT_WAY = "gearing backtest volatility_weighted low=3"


def test_settings_of_the_rule_are_told_from_those_of_the_market():
    own, others = split_settings(
        "volatility_weighted", ["low=2", "market.years=1", "high=6.5", "controls=[]"]
    )
    assert own == {"low": 2, "high": 6.5}
    assert others == ["market.years=1", "controls=[]"]
    assert named_policy("volatility_weighted", own) == VolatilityWeighted(low=2, high=6.5)
    assert named_policy("fixed_2_5x", {}) == FixedLeverage(2.5)


@pytest.mark.parametrize(
    "other_way",
    ["rule.low=3", "rules.volatility_weighted.low=3", "policy.low=3", "low", "low:3", "{low: 3}", "3",
     "volatility_weighted.low=3"],
)  # fmt: skip
def test_other_ways_to_write_a_rules_settings_are_refused_with_the_right_one(other_way):
    with pytest.raises(ValueError, match="is no setting of a backtest") as refused:
        split_settings("volatility_weighted", [other_way])
    assert RIGHT_WAY in str(refused.value)


@pytest.mark.parametrize(
    "other_way",
    ["volatility_weighted(low=3)", "{rule: volatility_weighted, low: 3}", "volatility_weighted low=3",
     "rule=volatility_weighted"],
)  # fmt: skip
def test_other_ways_to_name_a_rule_are_refused_with_the_right_one(other_way):
    with pytest.raises(ValueError, match="is no name of a rule") as refused:
        named_policy(other_way, {})
    assert RIGHT_WAY in str(refused.value)


def test_a_setting_that_is_given_twice_or_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="low is given twice"):
        split_settings("volatility_weighted", ["low=2", "low=3"])
    with pytest.raises(ValueError, match=r"no parameter 'lw'\. Did you mean 'low'\?"):
        named_policy("volatility_weighted", {"lw": 3})
    with pytest.raises(ValueError, match=r"Did you mean market\.years\?"):
        split_settings("volatility_weighted", ["maket.years=3"])


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = f"policy_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(OWN)
    return f"{name}.py"


def test_a_class_of_ones_own_takes_settings(own):
    assert named_policy(f"{own}:Mine", {"leverage": 4}).leverage == 4
    assert named_policy(f"{own}:ready", {}).leverage == 2.0


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("Mine", {}, "needs leverage"),
        ("Mine", {"leverage": 1, "stepp": 2}, "has no parameter 'stepp'. Did you mean 'step'?"),
        ("ready", {"leverage": 1}, "it takes no settings"),
        ("Nothing", {}, "has no required_columns, action_scheme, predict"),
        ("Mime", {}, "Did you mean 'Mine'?"),
    ],
)
def test_what_is_wrong_with_a_class_of_ones_own_is_said(own, name, settings, message):
    with pytest.raises((ValueError, TypeError)) as refused:
        named_policy(f"{own}:{name}", settings)
    assert message in str(refused.value)
