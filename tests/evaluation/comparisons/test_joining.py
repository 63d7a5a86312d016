"""Studies are joined where their scores are of the same tasks, and refused or marked where they are not."""

import numpy as np
import pytest
from tests.evaluation.comparisons.test_comparison import AGENT, RULE, facts, made, rows_of

from gearing.evaluation.comparisons.comparison import SHARE
from gearing.evaluation.comparisons.joining import joined


def other(**changes):
    """A second study: the same rule, and an agent of another seed's scores."""
    better = {task: np.add(scores, 1.0) for task, scores in AGENT.items()}
    found = made(
        rows_of("rule", "rule", RULE), rows_of("agent", "agent", better), rows_of("new", "agent", AGENT)
    )
    return found.with_(studies=(facts(name="two", **changes),))


def test_a_policy_of_the_same_scores_counts_once_and_others_are_named_with_their_study():
    whole = joined({"one": made(), "two": other()})
    assert whole.policies == ["rule", "agent (one)", "agent (two)", "new"]
    assert whole.aggregates.loc["agent (two)", "mean"] == 3.5
    assert whole.baseline == "rule"
    assert whole.growth.loc["new", "versus"] == pytest.approx(0.5)


def test_names_of_a_mapping_name_the_studies():
    whole = joined({"yesterday": made(), "today": other()}, baseline="agent (yesterday)")
    assert "agent (today)" in whole.policies
    assert {one.name for one in whole.studies} == {"yesterday", "today"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"unit": SHARE}, "share of the optimum"),
        ({"data": {"BTC": "bbbb"}}, "different data of BTC .* aaaa and bbbb"),
        (
            {"task": {"exchange": {"slippage": {"constant": 0.1}}}},
            r"exchange.slippage.constant is 0.0 in one and 0.1",
        ),
    ],
)
def test_scores_that_do_not_compare_are_refused(changes, message):
    one = made().with_(
        studies=(facts(data={"BTC": "aaaa"}, task={"exchange": {"slippage": {"constant": 0.0}}}),)
    )
    same = {"data": {"BTC": "aaaa"}, "task": {"exchange": {"slippage": {"constant": 0.0}}}}
    joined({"one": one, "two": other(**same)})
    with pytest.raises(ValueError, match=message):
        joined({"one": one, "two": other(**{**same, **changes})})


def test_studies_without_a_common_task_are_refused():
    elsewhere = made(rows_of("rule", "rule", {"span 7": 1.0})).with_(studies=(facts(name="two"),))
    with pytest.raises(ValueError, match=r"two shares no task with the other studies.*span 7"):
        joined({"one": made(), "two": elsewhere})


def test_other_code_and_other_sizes_are_marked():
    whole = joined({"one": made(), "two": other(code="d", account={"margin_share": 0.5})})
    assert any("different code (c and d)" in note for note in whole.remarks)
    assert any("margin_share is None in one and 0.5" in note for note in whole.remarks)
