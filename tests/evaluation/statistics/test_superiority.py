"""Tests of many policies at once, on growth whose truth is known."""

import numpy as np
import pandas as pd
import pytest

from gearing.evaluation.statistics.selection import confidence_set, superior_ability, superior_policies

pytest.importorskip("arch", reason="needs the extra 'forecast'")

DAYS = pd.date_range("2022-01-01", periods=600, tz="UTC")


def growth(**means):
    rng = np.random.default_rng(0)
    common = rng.normal(0, 0.02, len(DAYS))
    return pd.DataFrame(
        {k: m + common + rng.normal(0, 0.005, len(DAYS)) for k, m in means.items()}, index=DAYS
    )


def test_a_policy_that_truly_grows_faster_is_named_and_the_others_are_not():
    table = growth(benchmark=0.0, good=0.003, same=0.0, bad=-0.003)
    benchmark, policies = table["benchmark"], table[["good", "same", "bad"]]
    assert superior_ability(benchmark, policies, seed=0, replications=300) < 0.01
    assert superior_policies(benchmark, policies, seed=0, replications=300) == ["good"]
    assert confidence_set(policies, seed=0, replications=300) == ["good"]


def test_policies_like_the_benchmark_are_not_called_superior():
    table = growth(benchmark=0.0, a=0.0, b=0.0, c=0.0)
    assert superior_ability(table["benchmark"], table[["a", "b", "c"]], seed=0, replications=300) > 0.05
    assert superior_policies(table["benchmark"], table[["a", "b", "c"]], seed=0, replications=300) == []


def test_growth_on_other_days_is_refused():
    table = growth(benchmark=0.0, a=0.0)
    with pytest.raises(ValueError, match="same days"):
        superior_ability(table["benchmark"], table[["a"]].iloc[::-1], seed=0)
