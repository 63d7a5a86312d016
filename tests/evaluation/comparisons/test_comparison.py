"""A comparison's tables against values worked out by hand, and every figure of it."""

import numpy as np
import pandas as pd
import pytest

import gearing.evaluation.comparisons.comparison as module
from gearing.drawing import png
from gearing.evaluation.comparisons.comparison import GROWTH, SHARE, Comparison, StudyFacts
from gearing.evaluation.statistics.inference import pooled_growth_difference

# Two test spans; a rule is played once on each, an agent with three seeds.
RULE = {"span 1": 1.0, "span 2": 3.0}
AGENT = {"span 1": [0.0, 2.0, 4.0], "span 2": [2.0, 3.0, 4.0]}
N_DAYS = 40


def rows_of(policy, kind, scores, study="one"):
    rows = []
    for task, values in scores.items():
        for seed, score in enumerate(np.atleast_1d(values)):
            row = {"policy": policy, "kind": kind, "task": task, "training": task, "study": study}
            row |= {"seed": pd.NA if kind != "agent" else seed, "score": float(score), "growth": float(score)}
            rows.append(row | {"ruined": False, "optimum": np.nan})
    return rows


def table_of(*parts):
    table = pd.DataFrame([row for part in parts for row in part])
    return table.assign(seed=table["seed"].astype("Int64"))


def days_of(scores):
    """Daily growth that varies around each run's score a year, on the days of its span; fixed leverage earns 1 less."""
    parts = []
    for row in scores.to_dict("records"):
        first = np.datetime64("2021-01-01") + (0 if row["task"] == "span 1" else N_DAYS)
        wave = np.sin(np.arange(N_DAYS) + 0.1 * len(parts))
        growth = (row["score"] + wave - wave.mean()) / 365.0
        frame = pd.DataFrame(
            {"day": first + np.arange(N_DAYS), "growth": growth, "matched": growth - 1.0 / 365.0}
        )
        same = {name: row[name] for name in ("policy", "study", "task", "training")}
        parts.append(frame.assign(account="BTC", seed=row["seed"], **same))
    table = pd.concat(parts, ignore_index=True)
    return table.assign(seed=table["seed"].astype("Int64"))


def facts(**changes):
    given = {
        "name": "one",
        "kind": "study",
        "unit": GROWTH,
        "task": {},
        "account": {},
        "data": {},
        "code": "c",
    }
    return StudyFacts(**{**given, "baseline": "rule", **changes})


CURVES = pd.DataFrame(
    [
        ("agent", "one", "span 1", seed, decisions, decisions / 100.0, score)
        for seed, scores in ((0, (0.0, 1.0, 2.0)), (1, (0.0, 3.0)))  # the second training stopped early
        for decisions, score in zip((0, 100, 200), scores, strict=False)
    ],
    columns=["policy", "study", "training", "seed", "decisions", "cpu_seconds", "score"],
)


def made(*parts, days=True, curves=CURVES, **changes):
    scores = table_of(*(parts or (rows_of("rule", "rule", RULE), rows_of("agent", "agent", AGENT))))
    known = days_of(scores) if days else pd.DataFrame()
    given = {"scores": scores, "curves": curves, "days": known, "studies": (facts(),), "baseline": "rule"}
    return Comparison(**{**given, "replications": 200, **changes})


@pytest.fixture(scope="module")
def comparison():
    return made()


def test_aggregates_are_those_of_all_runs(comparison):
    table = comparison.aggregates
    # Agent: 0 2 2 3 4 4; without a quarter of six (one) at each end the mean of 2 2 3 4. Means of spans are 2 and 3.
    assert table.loc["agent", ["iqm", "mean", "median"]].tolist() == [2.75, 2.5, 2.5]
    assert table.loc["agent", ["seeds", "tasks", "runs", "ruined"]].tolist() == [3, 2, 6, 0]
    assert table.loc["agent", "iqm_low"] < 2.75 < table.loc["agent", "iqm_high"]
    assert table.loc["rule", "mean"] == 2.0
    assert np.isnan(table.loc["rule", "mean_low"])  # a rule has no seeds to resample
    assert "optimality_gap" not in table  # no optimum of growth on history is known


def test_an_optimality_gap_counts_what_is_beyond_the_optimum_as_the_optimum(comparison):
    # Optimum 3: runs count 0 2 3 and 2 3 3, mean 13 / 6; the gap is 3 - 13 / 6.
    assert comparison.aggregated(3.0).loc["agent", "optimality_gap"] == pytest.approx(5 / 6)
    shares = made(studies=(facts(unit=SHARE),), days=False).aggregates
    assert shares.loc["rule", "optimality_gap"] == 0.0  # 1 and 3, of an optimum of 1


def test_improvement_is_the_share_of_pairs_that_win_a_tie_counting_half(comparison):
    # Span 1 against 1: 2 of 3 win. Span 2 against 3: one ties, one wins: 1.5 of 3.
    expected = (2 / 3 + 0.5) / 2
    assert comparison.improvement.loc[("agent", "rule"), "probability"] == pytest.approx(expected)
    assert comparison.improvement.loc[("rule", "agent"), "probability"] == pytest.approx(1 - expected)
    assert comparison.ranks.loc["rule", "mean_rank"] == pytest.approx(1 + expected)
    assert comparison.ranks.loc["agent", "rank_1"] == pytest.approx(expected, abs=0.02)


def test_a_profile_is_the_share_of_runs_above_a_score(comparison):
    share = comparison.profiled([1.5]).share
    assert share["agent", 1.5] == pytest.approx(5 / 6)
    assert share["rule", 1.5] == 0.5


def test_a_training_that_ended_keeps_its_last_score(comparison):
    table = comparison.learning()
    first, last = table.iloc[0], table.iloc[-1]
    assert (table.index[0], first.score) == (("agent", 0.0), 0.0)
    assert (table.index[-1], last.score) == (("agent", 200.0), 2.5)  # mean of 2 and of the 3 that stayed
    assert last.ended == 0.5
    assert comparison.learning("cpu_seconds").index[-1] == ("agent", 2.0)
    with pytest.raises(ValueError, match="decisions, cpu_seconds"):
        comparison.learning("steps")


def test_growth_is_compared_on_the_same_days_with_baseline_and_fixed_leverage(comparison):
    table = comparison.growth
    assert table.loc["agent", "growth"] == pytest.approx(2.5)
    assert table.loc["agent", "versus"] == pytest.approx(0.5)  # 2.5 less the rule's 2
    assert table.loc["agent", "versus_fixed"] == pytest.approx(1.0)
    assert np.isnan(table.loc["rule", "versus"])
    days = comparison.days
    cube = days[days.policy == "agent"].pivot_table(index="day", columns="seed", values="growth").to_numpy()
    own = days[days.policy == "rule"].sort_values("day").growth.to_numpy()
    expected = pooled_growth_difference(cube[:, None, :], own[:, None], seed=0, replications=200)
    assert table.loc["agent", ["versus_low", "versus_high"]].tolist() == pytest.approx(
        [expected.low, expected.high]
    )


def test_a_placebo_says_what_the_timing_earned():
    scores = table_of(
        rows_of("rule", "rule", RULE), rows_of("agent", "agent", {"span 1": [5.0], "span 2": [7.0]})
    )
    shifts = [[1.0, 2.0, 8.0], [1.0, 4.0, 6.0]]  # means of the three shifts: 1, 3, 7
    scores["replayed"] = [0.0, 0.0, 5.0, 7.0]
    scores["shifted"] = [[0.0] * 3, [0.0] * 3, *shifts]
    table = made(scores=scores, days=True).with_(scores=scores, days=days_of(scores)).growth
    assert table.loc["agent", "placebo"] == pytest.approx(6.0 - 11.0 / 3.0)
    assert table.loc["agent", "placebo_p"] == pytest.approx(2 / 4)  # itself and the shift that earned 7
    assert table.loc["rule", "placebo_p"] == 1.0


def test_ruined_accounts_are_a_word():
    ruined = rows_of("agent", "agent", AGENT)
    ruined[0] |= {"ruined": True, "score": -6.9}
    found = made(rows_of("rule", "rule", RULE), ruined)
    assert found.aggregates.loc["agent", "mean"] == "ruined"
    assert found.aggregates.loc["agent", "iqm"] == pytest.approx(
        2.75
    )  # one of six runs, which the IQM leaves out
    assert found.growth.loc["agent", "versus"] == "ruined"
    for figure in found.figures.values():
        assert len(png(figure)) > 5_000


def test_missing_seeds_are_reported_and_not_filled():
    found = made(
        rows_of("rule", "rule", RULE), rows_of("agent", "agent", {"span 1": [0.0, 2.0], "span 2": [4.0]})
    )
    assert found.aggregates.loc["agent", ["seeds", "most_seeds", "runs"]].tolist() == [1, 2, 3]
    assert found.aggregates.loc["agent", "mean"] == 2.5  # of the spans' means 1 and 4
    assert any("numbers of seeds differ: agent 1 to 2" in note for note in found.remarks)
    assert found.growth.loc["agent", "days"] == 2 * N_DAYS


def test_only_tasks_that_all_policies_have_are_compared():
    other = rows_of("elsewhere", "agent", {"span 9": [9.0, 9.0]})
    some = rows_of("some", "agent", {"span 2": [1.0, 1.0]})
    found = made(rows_of("rule", "rule", RULE), rows_of("agent", "agent", AGENT), some, other)
    assert found.tasks == ["span 2"]
    assert found.policies == ["rule", "agent", "some"]
    assert found.aggregates.loc["rule", "mean"] == 3.0
    assert any("elsewhere" in note for note in found.remarks)
    assert any("span 1" in note for note in found.remarks)


def test_regret_is_what_is_missing_to_the_optimum():
    scores = table_of(
        rows_of("rule", "rule", {"paths": 0.5}), rows_of("agent", "agent", {"paths": [0.8, 0.9, 1.0]})
    )
    scores = scores.assign(growth=2.0 * scores.score, optimum=2.0)
    found = made(days=False).with_(scores=scores, studies=(facts(unit=SHARE),)).regret
    assert found.loc["agent", ["regret", "best_seed", "worst_seed"]].tolist() == pytest.approx(
        [0.2, 0.0, 0.4]
    )
    assert found.loc["rule", "regret"] == 1.0


def test_every_figure_is_drawn_and_every_table_is_a_frame(comparison):
    assert set(comparison.figure_names) == {
        "aggregates", "growth", "learning", "improvement", "profiles", "ranks", "scores",
    }  # fmt: skip
    for name in comparison.figure_names:
        figure = comparison.figure(name)
        assert all(axis.get_xlabel() or figure.get_supxlabel() for axis in figure.axes[:1])
        assert png(figure)[:4] == b"\x89PNG"
    assert all(isinstance(table, pd.DataFrame) and len(table) for table in comparison.tables.values())
    with pytest.raises(ValueError, match="no figure 'regret'"):
        comparison.figure("regret")


def test_one_policy_alone_has_a_comparison():
    found = made(rows_of("rule", "rule", RULE), curves=CURVES[:0])
    assert set(found.figure_names) == {"aggregates", "growth", "profiles", "scores"}
    assert "growth" in found.tables


def test_what_is_saved_is_read_again(comparison, tmp_path):
    comparison.save(tmp_path)
    again = Comparison.load(tmp_path)
    assert again.studies == comparison.studies
    for name in ("aggregates", "growth", "improvement", "ranks", "profiles"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(comparison, name))
    (tmp_path / "scores.parquet").write_bytes(b"PAR1 broken")
    with pytest.raises(ValueError, match="Run the study again"):
        Comparison.load(tmp_path)
    (tmp_path / module.ABOUT).write_text("{}")
    with pytest.raises(ValueError, match="damaged"):
        Comparison.load(tmp_path)


def test_the_same_seed_gives_the_same_tables(comparison):
    pd.testing.assert_frame_equal(comparison.with_(seed=0).aggregates, comparison.aggregates)
    assert not comparison.with_(seed=1).aggregates.equals(comparison.aggregates)


def test_a_baseline_that_is_no_policy_is_refused(comparison):
    with pytest.raises(ValueError, match="none of the policies rule, agent"):
        comparison.with_(baseline="ppo")
