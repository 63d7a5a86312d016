"""`gearing.compare` on studies of every form: objects, folders, lists, mappings; and what it refuses."""

import pandas as pd
import pytest

import gearing
from gearing.studies.runner import run_study

EXPERIMENT = """\
# Do two rules differ?
market: {seed: 2, years: 1.2}
folds: {train: 90d, validate: 30d, test: 40d, count: 2}
decision: {max_leverage: 20, margin_share: 0.5}
forecast: null
rules: [fixed_1x, volatility_weighted]
agents:
  small: {algorithm: differentiable, columns: [realized_volatility_24h], steps: 512, envs: 8, episode_length: 20d,
          settings: {validate_every: 256}}
seeds: 2
tracking: {enabled: false}
"""
GROUPS = EXPERIMENT.replace("decision:", "groups: {majors: [BTCUSDT, ETHUSDT]}\nshifts: 3\ndecision:")


def run(folder, text=EXPERIMENT, *overrides):
    path = folder / "tiny.yaml"
    path.write_text(text)
    return run_study(path, [f"output={folder / 'runs'}", *overrides])


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return run(tmp_path_factory.mktemp("compare"))


def test_scores_are_those_of_the_leaderboard(study):
    comparison = gearing.compare(study)
    board = study.leaderboard
    assert comparison.policies == ["fixed_1x", "volatility_weighted", "small"]
    # Both folds have 40 days, so the mean over them is the growth of the chained account.
    for policy in ("fixed_1x", "volatility_weighted"):
        assert comparison.aggregates.loc[policy, "mean"] == pytest.approx(board.loc[policy, "log_growth"])
    row = comparison.growth.loc["volatility_weighted"]
    expected = board.loc["volatility_weighted", ["versus", "versus_low", "versus_high"]].tolist()
    assert row[["versus", "versus_low", "versus_high"]].tolist() == pytest.approx(expected)
    row, pooled = comparison.growth.loc["small"], board.loc["small, mean of 2 seeds"]
    assert row.versus == pytest.approx(pooled.versus)


def test_fixed_leverage_of_the_same_mean_is_itself_for_a_fixed_rule(study):
    # Interpolated between the sizes of a grid, so that the difference is nearly zero.
    assert gearing.compare(study).growth.loc["fixed_1x", "versus_fixed"] == pytest.approx(0.0, abs=5e-3)


def test_learning_curves_hold_every_validation(study):
    curves = gearing.compare(study).curves
    trainings = curves.groupby(["training", "seed"])
    assert len(trainings) == 2 * 2  # folds and seeds
    assert (trainings.decisions.min() == 0).all()  # the weights before any training
    assert (trainings.size() == 3).all()  # and two validations, one every 256 decisions
    assert (curves.groupby(["training", "seed"]).cpu_seconds.diff().dropna() >= 0).all()


@pytest.mark.parametrize(
    "form", [lambda s: s, lambda s: s.folder, lambda s: str(s.folder), lambda s: [s.folder]]
)
def test_a_study_is_given_in_any_form(study, form):
    pd.testing.assert_frame_equal(gearing.compare(form(study)).aggregates, study.comparison.aggregates)


def test_studies_are_compared_by_the_names_of_a_mapping(study, tmp_path):
    later = run(tmp_path, EXPERIMENT, "seeds=3")
    whole = gearing.compare(
        {"two seeds": study, "three seeds": later.folder}, baseline="fixed_1x", replications=100
    )
    assert whole.policies == ["fixed_1x", "volatility_weighted", "small (two seeds)", "small (three seeds)"]
    assert any("numbers of seeds differ" in note for note in whole.remarks)


def test_another_market_other_fees_and_other_folds_are_refused(study, tmp_path):
    for override, message in (
        ("market.seed=3", "different data"),
        ("exchange.order=maker", "exchange.order is taker in one and maker"),
        ("folds.test=30d", "shares no task"),
    ):
        other = run(tmp_path, EXPERIMENT, "agents={}", override)
        with pytest.raises(ValueError, match=message):
            gearing.compare(study, other)


def test_groups_are_compared_by_contract_with_a_placebo(tmp_path):
    done = run(tmp_path, GROUPS)
    comparison = done.comparison
    assert len(comparison.tasks) == 4  # two contracts, two folds
    table, growth = done.leaderboard, comparison.growth
    key = ("majors", "long", "volatility_weighted")
    for mine, theirs in (("growth", "growth"), ("versus_fixed", "versus_fixed"), ("placebo", "placebo")):
        assert growth.loc["volatility_weighted", mine] == pytest.approx(table.loc[key, theirs])
    assert growth.loc["volatility_weighted", "placebo_p"] == pytest.approx(table.loc[key, "placebo_p"])
    # One training is tested on both contracts, so its seeds are drawn together.
    assert comparison.runs["small"].counts.tolist() == [2, 2]


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ((), ValueError, "nothing to compare"),
        (("nowhere",), ValueError, "nowhere is no folder"),
        ((3,), TypeError, "a study is 3; give"),
    ],
)
def test_what_is_no_study_is_refused(given, error, message):
    with pytest.raises(error, match=message):
        gearing.compare(*given)


def test_a_folder_without_scores_says_how_to_get_them(study, tmp_path):
    with pytest.raises(ValueError, match=r"holds no experiment.yaml"):
        gearing.compare(tmp_path)
    (tmp_path / "experiment.yaml").write_text("kind: study")
    with pytest.raises(ValueError, match=r"has not finished.*gearing study"):
        gearing.compare(tmp_path)
    with pytest.raises(ValueError, match="level is 95"):
        gearing.compare(study, level=95)
    with pytest.raises(ValueError, match="none of the policies"):
        gearing.compare(study, baseline="ppo")


def test_a_search_is_not_compared_and_says_what_plays_its_test(tmp_path):
    (tmp_path / "experiment.yaml").write_text("kind: study")
    (tmp_path / "chosen.yaml").write_text("kind: study")
    with pytest.raises(
        ValueError, match=r"is a search, which plays no test. `gearing study .*chosen.yaml` plays"
    ):
        gearing.compare(tmp_path)
