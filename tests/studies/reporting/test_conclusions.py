"""Sentences say what intervals allow: a difference where zero is excluded, otherwise that it is open."""

import numpy as np
import pytest
from tests.evaluation.comparisons.test_comparison import facts, made, rows_of, table_of

from gearing.evaluation.comparisons.comparison import SHARE
from gearing.studies.reporting.conclusions import conclusions_of

SEEDS = 12


def growing(levels, **changes):
    """Policies with these growths a year, a dozen seeds each, on two spans; the first is a rule and the baseline."""
    (rule, level), *agents = levels.items()
    spread = np.linspace(-0.01, 0.01, SEEDS)
    parts = [rows_of(name, "agent", {"span 1": own + spread, "span 2": own + spread}) for name, own in agents]
    return made(
        rows_of(rule, "rule", {"span 1": level, "span 2": level}), *parts, **{"baseline": rule, **changes}
    )


def test_a_difference_whose_interval_excludes_zero_is_a_conclusion():
    found = conclusions_of(growing({"rule": 0.0, "good": 5.0}))
    assert any(s.startswith("good grew more than rule: +5.0") for s in found.can)
    assert any(
        s.startswith("good grew more than fixed leverage with the same mean: +1.00") for s in found.can
    )
    assert not any("good grows" in s for s in found.cannot)


def test_worse_is_said_as_plainly_as_better():
    assert any(
        s.startswith("bad grew less than rule: -5.0")
        for s in conclusions_of(growing({"rule": 0.0, "bad": -5.0})).can
    )


def test_a_difference_that_may_be_zero_is_open_and_says_what_stays_hidden():
    comparison = growing({"rule": 0.0, "same": 0.001})
    (sentence,) = [s for s in conclusions_of(comparison).cannot if s.startswith("Whether same grows")]
    assert "is open" in sentence
    assert f"below about {comparison.growth.detectable['same']:.2f} a year" in sentence


def test_agents_are_compared_run_against_run():
    found = conclusions_of(growing({"rule": 0.0, "one": 1.0, "two": 2.0}))
    assert "A run of one beats one of two on the same task with probability 0.00 [0.00, 0.00]." in found.can


def test_many_looks_few_seeds_and_untrained_runs_are_limits():
    comparison = made()
    scores = comparison.scores.assign(chosen_at=[np.nan, np.nan, 0.0, 5.0, 5.0, 5.0, 5.0, 0.0])
    found = conclusions_of(comparison.with_(scores=scores))
    text = " ".join(found.cannot)
    assert "Few seeds (agent 3)" in text
    assert "In 2 of 6 runs of agent validation chose the weights before any training" in text
    assert f"{found.tests} differences were looked at" in text


def test_a_ruin_is_a_conclusion_and_has_no_growth():
    ruined = rows_of("agent", "agent", {"span 1": [1.0, 2.0], "span 2": [1.0, -6.9]})
    ruined[3]["ruined"] = True
    found = conclusions_of(made(rows_of("rule", "rule", {"span 1": 1.0, "span 2": 1.0}), ruined))
    assert "agent was ruined in 1 of 4 runs; there is no growth to compare." in found.can
    assert not any("agent grew" in sentence for sentence in found.can)


def test_the_share_of_a_known_optimum_is_reported():
    scores = table_of(
        rows_of("rule", "rule", {"paths": 0.5}), rows_of("agent", "agent", {"paths": [0.8, 0.9]})
    )
    scores = scores.assign(growth=2.0 * scores.score, optimum=2.0)
    found = conclusions_of(made(days=False).with_(scores=scores, studies=(facts(unit=SHARE),)))
    # 0.85 of the optimum's 2.0 leaves 0.3; the seeds lack 0.4 and 0.2.
    (sentence,) = [s for s in found.can if s.startswith("agent reaches")]
    assert "regret is 0.300 a year, from 0.200 to 0.400" in sentence
    assert pytest.approx(0.85) == float(sentence.split()[2])
