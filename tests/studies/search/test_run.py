"""A search is the same however often it is killed, on however many workers; its choice is an experiment that runs."""

import math
from functools import partial
from typing import Literal

import optuna
import pandas as pd
import pytest
from tests.kills.processes import die, forked

from gearing.studies.experiment import experiment
from gearing.studies.reading import load_config
from gearing.studies.regret.config import RegretConfig
from gearing.studies.runner import run_study
from gearing.studies.search.config import CHOSEN
from gearing.studies.search.drawing import Pruning
from gearing.studies.search.run import JOURNAL, search
from gearing.studies.search.trying import Lesson, LessonScore, Searched

TOTAL = 1000
AGENT = {"algorithm": "ppo", "total_decisions": TOTAL}
SEARCH = {
    "trials": 24,
    "batch": 4,
    "space": {
        "parameters.learning_rate": {"low": 1e-5, "high": 1e-1, "log": True},
        "parameters.n_epochs": {"low": 1, "high": 10},
        "network.layers": [[8], [16], [8, 8]],
    },
}


class Bowl(RegretConfig):
    """Regret whose trainings are a formula: best at a learning rate of 0.001, 4 epochs and the layers [16]."""

    kind: Literal["bowl"] = "bowl"
    log: str


def teach(config, lesson, place):
    """Score 1 less the distance to the best settings, reached over four validations."""
    (agent,) = config.agents.values()
    given = agent.hyper_parameters
    parameters = given.get("parameters", {})
    distance = abs(math.log10(parameters.get("learning_rate", 0.5) / 1e-3)) / 2
    distance += abs(parameters.get("n_epochs", 4) - 4) / 10
    distance += 0.2 * (given.get("network", {}).get("layers") != [16])
    with open(config.log, "a") as file:
        file.write(f"{place.folder.parent.name} {lesson.name}\n")
    for quarter in (1, 2, 3, 4):
        place.run.log_metrics({"validation/best": quarter / 4 - distance}, step=TOTAL * quarter // 4)
    return LessonScore(1.0 - distance, [0.001 - 0.001 * distance * (k % 3) for k in range(30)])


@experiment(Bowl)
def bowl(config, work):
    work.on({})
    return search(config, work, Searched([Lesson(f"seed{k}", k) for k in range(2)], teach))


def config(folder, **changes):
    given = {"search": {**SEARCH, **changes}, "agents": {"ppo": AGENT}, "tracking": {"enabled": False}}
    return Bowl(name="bowl", output=str(folder / "runs"), log=str(folder / "log"), **given)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    return run_study(config(folder)), (folder / "log").read_text().split("\n")[:-1]


def test_a_search_finds_what_is_best_and_prunes_what_is_poor(whole):
    table = whole[0].leaderboard
    assert table.index.tolist() == list(range(25))
    assert table.loc[0, "score"] == pytest.approx(1.0 - math.log10(500) / 2 - 0.2)  # the agent's own settings
    best = table[table.state == "complete"].score.max()
    assert best > 0.7  # at random, 24 draws reach 0.7 in one of two searches
    assert (table.state == "pruned").sum() >= 3
    assert (table.state == "complete").sum() >= 9
    assert len(whole[1]) < 2 * 25  # a pruned trial has not trained twice
    metrics = whole[0].findings.metrics
    assert metrics["tried"] == 25
    assert metrics["best"] == best


def test_the_choice_is_an_experiment_that_says_how_many_were_tried(whole):
    folder, table = whole[0].folder, whole[0].leaderboard
    best = table[table.state == "complete"].score.idxmax()
    chosen = load_config(folder / CHOSEN)
    assert chosen.search is None
    assert chosen.name == "bowl_chosen"
    parameters = chosen.agents["ppo"].settings["parameters"]
    assert parameters["learning_rate"] == table.loc[best, "parameters.learning_rate"]
    assert chosen.searched.trials == 25
    assert len(chosen.searched.sharpes) == (table.state == "complete").sum()
    assert chosen.searched.experiment == folder.name


def test_the_journal_holds_the_trials_for_optunas_own_tools(whole):
    backend = optuna.storages.journal.JournalFileBackend(str(whole[0].folder / JOURNAL))
    study = optuna.load_study(study_name="bowl", storage=optuna.storages.JournalStorage(backend))
    table = whole[0].leaderboard
    assert len(study.trials) == 24
    assert study.best_value == table[table.state == "complete"].score.max()
    assert [path.name for path in whole[0].folder.glob(f"*{JOURNAL}*")] == [JOURNAL]


def tables(done):
    chosen = load_config(done.folder / CHOSEN)
    return (done.folder / "trials.csv").read_bytes(), chosen.agents, chosen.searched.sharpes


@pytest.mark.slow
def test_two_workers_find_the_same_as_one(whole, tmp_path):
    assert tables(run_study(config(tmp_path), jobs=2)) == tables(whole[0])


def test_a_search_that_is_killed_and_resumed_finds_the_same_and_repeats_nothing(whole, tmp_path):
    def killed_after(count):
        usual, calls = globals()["teach"], []

        def teach(config, lesson, place):
            calls.append(None)
            if len(calls) == count:
                die()
            return usual(config, lesson, place)

        globals()["teach"] = teach
        run_study(config(tmp_path))

    for count in (3, 6, 11):
        assert forked(partial(killed_after, count)) == -9
    assert tables(run_study(config(tmp_path))) == tables(whole[0])
    log = (tmp_path / "log").read_text().split("\n")[:-1]
    assert len(log) == len(set(log)) == len(whole[1])


def test_a_longer_search_begins_with_the_trials_of_a_shorter_one(whole, tmp_path):
    run_study(config(tmp_path, trials=12))
    before = (tmp_path / "log").read_text().split("\n")[:-1]
    done = run_study(config(tmp_path))
    assert tables(done)[0] == tables(whole[0])[0]
    assert len((tmp_path / "log").read_text().split("\n")[:-1]) == len(whole[1])
    assert len(before) < len(whole[1])


def test_no_settings_are_drawn_twice_and_the_search_ends_when_all_were_tried(tmp_path):
    # 2 x 3 x 2 = 12 settings; a sampler that prefers the best draws some of them again and again.
    space = {
        "network.layers": [[8], [16]],
        "parameters.n_epochs": {"low": 1, "high": 9, "step": 4},
        "parameters.gamma": {"low": 0.9, "high": 0.95, "step": 0.05},
    }
    table = run_study(config(tmp_path, trials=50, batch=5, space=space, prune=False)).leaderboard
    drawn = [tuple(row) for row in table.loc[1:, list(space)].itertuples(index=False)]
    assert len(set(drawn)) == len(drawn) == 12
    assert set(table["parameters.n_epochs"].dropna()) == {1, 5, 9}
    assert table.loc[1:, "score"].max() == pytest.approx(1.0 - math.log10(500) / 2 - 0.1)  # [16], 5 epochs


def test_a_trial_that_fails_is_listed_and_the_search_goes_on(tmp_path, monkeypatch):
    usual = teach

    def failing(config, lesson, place):
        if "search3-" in place.folder.parent.name:
            raise FloatingPointError("diverged")
        return usual(config, lesson, place)

    monkeypatch.setitem(globals(), "teach", failing)
    done = run_study(config(tmp_path, trials=8))
    assert done.leaderboard.state[3] == "failed"
    assert pd.isna(done.leaderboard.score[3])
    assert done.failed.index.tolist() == ["search3"]
    assert done.leaderboard.state.tolist().count("complete") == 8


def test_a_trial_ends_where_its_score_is_below_the_median_of_earlier_ones():
    earlier = [{25: score, 50: 2.0 * score} for score in (0.1, 0.2, 0.3, 0.4, 0.5)]  # medians 0.3 and 0.6
    assert not Pruning(earlier).begin()(25, 0.31)
    assert Pruning(earlier).begin()(25, 0.29)
    assert not Pruning(earlier).begin()(10, -9.0)  # too early to say
    assert not Pruning(earlier[:4]).begin()(25, -9.0)  # too few to compare with
    both = Pruning(earlier).begin()
    assert [both(25, 0.31), both(50, 0.5)] == [False, True]
