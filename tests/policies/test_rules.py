"""Rules answer as their formulas say."""

import numpy as np
import pytest

from gearing.policies import describe_rule, make_rule, rule_names, rules
from gearing.policies.rules import FixedLeverage, Tiered, VolatilityTarget, VolatilityWeighted


def column(*values):
    return np.array(values, np.float32).reshape(-1, 1)


def answer(policy, **columns):
    return policy.predict({name: column(*values) for name, values in columns.items()})[0].ravel()


def test_fixed_leverage_never_moves():
    assert answer(FixedLeverage(4.0), effective_leverage=(0.0, 7.0)).tolist() == [4.0, 4.0]


def test_volatility_weighted_runs_from_high_to_low_over_the_percentile():
    # 8 - 5 x percentile
    leverage = answer(VolatilityWeighted(3, 8), volatility_percentile_90d=(0.0, 0.5, 1.0))
    np.testing.assert_allclose(leverage, [8.0, 5.5, 3.0])


def test_volatility_target_divides_and_is_bounded():
    leverage = answer(VolatilityTarget(1.0, 10.0), forecast_volatility=(0.5, 0.05))
    np.testing.assert_allclose(leverage, [2.0, 10.0], rtol=1e-6)


@pytest.mark.parametrize(
    ("percentile", "week", "month", "carry", "expected"),
    [
        (1.0, 0.1, 0.1, 0.0, 2.0),  # volatile, at the top: 3 - 1
        (0.8, 0.0, 0.0, 0.0, 2.8),  # volatile: 3 - 0.05 / 0.25
        (0.5, 0.0, 0.0, 0.0, 3.0),  # neither: neutral
        (0.5, 0.04, 0.0, 0.0, 7.5),  # trending at twice the threshold: 5 + 5 x (2 - 1) / 2
        (0.5, 0.08, 0.1, 0.0, 10.0),  # strong, but volatility is not low
        (0.2, 0.08, 0.1, 0.0, 15.0),  # exceptional
        (0.2, 0.08, -0.1, 0.0, 10.0),  # the month disagrees
        (0.2, 0.08, 0.1, 0.5, 10.0),  # longs pay 50 % a year: crowded
        (0.2, -0.08, -0.1, 0.0, 3.0),  # a downtrend is none for a long
    ],
)
def test_tiered_names_the_kind_of_market(percentile, week, month, carry, expected):
    leverage = answer(
        Tiered(),
        volatility_percentile_90d=(percentile,),
        trend_7d=(week,),
        momentum_30d=(month,),
        funding_carry_7d=(carry,),
    )
    assert leverage[0] == pytest.approx(expected, abs=1e-5)


def test_rules_are_made_by_name_and_describe_themselves():
    assert make_rule("fixed_2_5x") == FixedLeverage(2.5)
    made = make_rule({"rule": "volatility_weighted", "high": 9.0})
    assert made == VolatilityWeighted(3.0, 9.0)
    assert make_rule(describe_rule(made)) == made
    assert {"fixed", "tiered", "volatility_weighted"} <= set(rule_names())


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("volatility_wieghted", "Did you mean 'volatility_weighted'"),
        ({"rule": "fixed", "levrage": 2}, "Did you mean 'leverage'"),
        ("fixed_manyx", "fixed_2_5x"),
    ],
)
def test_an_unknown_rule_or_parameter_is_refused_with_the_nearest(spec, message):
    with pytest.raises(ValueError, match=message):
        make_rule(spec)


@pytest.mark.parametrize(
    ("made", "error", "says"),
    [
        (
            lambda: rules.VolatilityWeighted(low=8, high=3),
            ValueError,
            "low=8, high=3; these must not descend",
        ),
        (lambda: rules.VolatilityWeighted(low=-1), ValueError, "low is -1; it must be 0 or more"),
        (lambda: rules.DynamicATR(low=5, base=4), ValueError, "must not descend"),
        (lambda: rules.DynamicBollinger(outside=0), ValueError, "outside is 0; it must be positive"),
        (lambda: rules.DrawdownControlled(least=9, max_leverage=3), ValueError, "least=9, max_leverage=3"),
        (lambda: rules.Tiered(volatile_above=75), ValueError, "must be between 0 and 1"),
        (lambda: rules.Tiered(side=2), ValueError, r"1 \(up\), -1 \(down\) or 0 \(both\)"),
        (lambda: rules.FixedLeverage("3"), TypeError, "FixedLeverage: leverage is '3'; it must be float"),
        (lambda: rules.FixedLeverage(float("nan")), ValueError, "leverage is nan; it must be finite"),
        (lambda: rules.Kelly(prior=float("inf")), ValueError, "prior is inf"),
    ],
)
def test_parameters_that_cannot_be_meant_are_refused(made, error, says):
    with pytest.raises(error, match=says):
        made()
