"""The leaderboard: fixed tasks, rows with their digests, and the page."""

import json
from pathlib import Path

import pandas as pd
import pytest

from gearing.cli import app, run
from gearing.evaluation import PolicyError
from gearing.studies.leaderboard.page import add_rows, filled, markdown
from gearing.studies.leaderboard.rows import made_row, read_row, read_rows, write_row
from gearing.studies.leaderboard.submitting import reference_rows, submit
from gearing.studies.leaderboard.tasks import FOLDER, check_row_tasks, read_tasks
from gearing.studies.study.conforming import check_own_policies

ROOT = Path(__file__).parents[3]
CRASH = """\
# Leaderboard, task crash: one crash.
kind: crash_stress
paths: 2
years: 0.2
crashes: {gap: {scenario: gap}}
decision: {max_leverage: 5, margin_share: 0.3}
rules: [fixed_1x]
"""
HISTORY = """\
# Leaderboard, task history: no folder is there.
market: {folder: nowhere}
groups: {BTC: [BTCUSDT]}
rules: [fixed_1x]
"""
SYNTHETIC = """\
# Leaderboard, task account: one account over two folds.
market: {years: 0.7, seed: 2}
folds: {train: 90d, validate: 20d, test: 40d, from: 2020-02-01, count: 2}
decision: {max_leverage: 5, margin_share: 0.5}
columns: [trend_7d]
rules: [fixed_1x, fixed_3x]
statistics: {baseline: fixed_1x}
"""
KNOWN = """\
# Leaderboard, task known: the optimum is known.
kind: regret
market: market-b
shown: prices
columns: [trend_7d]
account: {margin_share: 0.95, max_leverage: 10.0}
validate: {seed: 500, years: 1}
test: {seed: 100000, years: 1}
rules: [fixed_1x]
"""
OWN = """\
from pathlib import Path

import numpy as np


class Mine:
    required_columns = ("trend_7d",)
    action_scheme = "target"

    def __init__(self, leverage=2.0):
        self.leverage = leverage

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return np.where(observation["trend_7d"] > 0.0, self.leverage, 0.0), state


class Joining(Mine):
    def join(self, table):
        return table


class Random(Mine):
    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return np.random.default_rng().uniform(0.0, 1.0, observation["trend_7d"].shape), state


class Failing(Mine):
    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        raise ValueError("no")


class Infinite(Mine):
    action_scheme = "leverage"

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return np.full(observation["trend_7d"].shape, np.inf), state


class Later(Mine):
    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        if Path("after the suite").exists():
            return {}["leverage"], state
        return super().predict(observation, state)
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with tasks, a page and a policy."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tasks").mkdir()
    for name, text in (("crash", CRASH), ("history", HISTORY), ("account", SYNTHETIC)):
        (tmp_path / "tasks" / f"{name}.yaml").write_text(text)
    (tmp_path / f"own_{tmp_path.name}.py").write_text(OWN)
    (tmp_path / "page.md").write_text("# Leaderboard\n\n<!-- leaderboard -->\n<!-- end -->\n\nafter\n")
    return tmp_path


def own(home, name="Mine"):
    return f"own_{home.name}.py:{name}"


@pytest.mark.slow
def test_a_submission_plays_every_task_and_says_which_were_skipped_and_why(home):
    row = submit(own(home), {"leverage": 3}, read_tasks(home / "tasks"))
    assert set(row["tasks"]) == {"crash", "account"}
    reason = "no history folder: nowhere is no folder; name one in GEARING_DATA (data/README.md)"
    assert row["skipped"] == {"history": reason}
    assert row["tasks"]["crash"]["low"] <= row["tasks"]["crash"]["score"] <= row["tasks"]["crash"]["high"]
    assert row["tasks"]["account"]["data"]
    assert row["policy"] == {"rule": own(home), "leverage": 3}
    again = submit(own(home), {"leverage": 3}, read_tasks(home / "tasks"))
    assert again == row
    other = submit(own(home), {"leverage": 1}, read_tasks(home / "tasks"))
    assert other["content"] != row["content"]


@pytest.mark.slow
def test_a_rule_scores_as_the_reference_of_that_name(home):
    tasks = read_tasks(home / "tasks", ["crash", "account"])
    references = {row["name"]: row for row in reference_rows(tasks)}
    row = submit("fixed_3x", {}, tasks)
    assert row["tasks"]["account"] == references["fixed_3x"]["tasks"]["account"]
    assert references["fixed_3x"]["skipped"] == {"crash": "not among the references of this task"}
    found, expected = submit("fixed_1x", {}, tasks)["tasks"], references["fixed_1x"]["tasks"]
    assert {name: one["score"] for name, one in found.items()} == {
        name: one["score"] for name, one in expected.items()
    }


@pytest.mark.slow
def test_scores_of_references_in_tasks_that_are_not_played_again_stay(home):
    (home / "tasks" / "crash.yaml").write_text(CRASH.replace("[fixed_1x]", "[fixed_1x, fixed_3x]"))
    score = {"measure": "share", "seeds": 1, "task": "t", "data": {}, "score": 0.5}
    before = made_row(
        "fixed_1x", {"other": {"rule": "fixed_1x"}}, "content", {"other": score}, {"crash": "not yet"}
    )
    (home / "tasks" / "rows").mkdir()
    write_row(before, home / "tasks" / "rows" / "fixed_1x.json")
    given = [
        "--references",
        "decision.max_leverage=4",
        "--task",
        "crash",
        "--folder",
        "tasks",
        "--page",
        "page.md",
    ]
    with pytest.raises(ValueError, match="no task 'other'"):  # which the page does not have
        app(["submit", *given], standalone_mode=False)
    rows = {row["name"]: row for row in read_rows(home / "tasks" / "rows")}
    assert set(rows) == {"fixed_1x", "fixed_3x"}
    assert rows["fixed_1x"]["tasks"]["other"] == {**score, "code": before["code"]}
    assert set(rows["fixed_1x"]["tasks"]) == set(rows["fixed_1x"]["policy"]) == {"other", "crash"}
    assert rows["fixed_1x"]["skipped"] == {}


def test_a_policy_that_could_see_the_future_or_breaks_the_suite_is_refused(home):
    tasks = read_tasks(home / "tasks", ["account"])
    with pytest.raises(ValueError, match=r"has the hook 'join'"):
        submit(own(home, "Joining"), {}, tasks)
    with pytest.raises(PolicyError, match=r"rules\.submission: Random breaks.*\n(.*\n)*.*draw nothing"):
        submit(own(home, "Random"), {}, tasks)
    with pytest.raises(PolicyError, match=r"own_\w+\.py, line 29, in predict: ValueError: no"):
        submit(own(home, "Failing"), {}, tasks)


@pytest.mark.parametrize("task", ["account", "crash", "known"])
def test_infinite_actions_end_before_anything_is_played(home, task, monkeypatch):
    (home / "tasks" / "known.yaml").write_text(KNOWN)
    monkeypatch.setattr("gearing.studies.work.Work.run", lambda *given, **more: pytest.fail("it was played"))
    with pytest.raises(PolicyError, match="a normalised action is not finite"):
        submit(own(home, "Infinite"), {}, read_tasks(home / "tasks", [task]))


def test_an_error_of_a_submission_in_a_later_bar_ends_it_with_the_line_and_is_not_tried_again(
    home, capsys, monkeypatch
):
    def checked(prepared):
        found = check_own_policies(prepared)
        (home / "after the suite").touch()
        return found

    monkeypatch.setattr("gearing.studies.study.run.check_own_policies", checked)
    code = run(["submit", own(home, "Later"), "--task", "account", "--folder", "tasks"])
    assert code == 2
    line = 1 + OWN.splitlines().index('            return {}["leverage"], state')
    assert f"own_{home.name}.py, line {line}, in predict: KeyError: 'leverage'" in capsys.readouterr().err
    (failed,) = (home / "runs").glob("*/failed.csv")
    assert "submission" in failed.read_text()
    assert set(pd.read_csv(failed).attempts) == {1}


def test_a_policy_that_fits_no_task_is_refused_with_all_reasons(home):
    with pytest.raises(ValueError, match=r"played none of the tasks:\n  account: .*max_leverage"):
        submit("fixed_20x", {}, read_tasks(home / "tasks"))


def test_a_row_that_was_edited_or_is_of_other_tasks_is_refused(home):
    tasks = read_tasks(home / "tasks")
    row = submit("fixed_1x", {}, tasks)
    path = write_row(row, home / "row.json")
    assert read_row(path) == row
    edited = json.loads(path.read_text())
    edited["tasks"]["crash"]["score"] = 9.0
    path.write_text(json.dumps(edited))
    with pytest.raises(ValueError, match="was changed after"):
        add_rows([path], home / "tasks", tasks, home / "page.md")
    write_row(row, path)
    text = (home / "tasks" / "crash.yaml").read_text()
    (home / "tasks" / "crash.yaml").write_text(text.replace("paths: 2", "paths: 3"))
    with pytest.raises(ValueError, match="the task crash has changed"):
        add_rows([path], home / "tasks", read_tasks(home / "tasks"), home / "page.md")
    assert not (home / "tasks" / "rows").exists()
    for wrong in ("[]", "{}", '{"format": 1}', "x"):
        path.write_text(wrong)
        with pytest.raises(ValueError, match=r"row\.json"):
            read_row(path)


def test_the_command_plays_writes_and_adds(home, capsys):
    assert (
        run(["submit", own(home), "leverage=2", "--folder", "tasks", "--name", "mine", "--row", "mine.json"])
        == 0
    )
    printed = capsys.readouterr().out
    assert "skipped: no history folder" in printed
    assert "log growth over a crash" in printed
    assert run(["submit", "--add", "mine.json", "--folder", "tasks", "--page", "page.md"]) == 0
    page = (home / "page.md").read_text()
    assert "| entry | account | history | crash |" in page
    assert "| mine | " in page
    assert page.endswith("after\n")
    assert (home / "tasks" / "rows" / "mine.json").is_file()
    assert run(["submit"]) == 2
    assert run(["submit", "fixed_1x", "--folder", "nowhere"]) == 2
    assert run(["submit", "fixed_1x", "--folder", "tasks", "--task", "crsh"]) == 2
    assert "Did you mean 'crash'" in capsys.readouterr().err


def test_entries_are_ordered_by_their_ranks_and_ruined_ones_are_last(home):
    tasks = read_tasks(home / "tasks", ["crash"])

    def row(name, score, seeds=1):
        cell = {
            "measure": "m",
            "seeds": seeds,
            "score": score,
            "low": None,
            "high": None,
            "task": "t",
            "data": {},
        }
        return made_row(name, {}, "c", {"crash": cell}, {})

    lines = markdown([row("a", 0.1), row("b", "ruined"), row("c", 0.3, seeds=3)], tasks).splitlines()
    assert lines[2:] == ["| c | +0.300, 3 seeds |", "| a | +0.100 |", "| b | ruined |"]


def test_the_page_shows_the_rows_that_ship_and_they_are_of_the_present_tasks():
    tasks = read_tasks(ROOT / FOLDER)
    rows = read_rows(ROOT / FOLDER / "rows")
    for row in rows:
        check_row_tasks(row["tasks"], tasks, row["name"])
    page = (ROOT / "docs" / "leaderboard.md").read_text(encoding="utf-8")
    assert filled(page, rows, tasks) == page, "gearing submit --add renews the table"
    assert {"oracle", "differentiable", "fixed_1x"} <= {row["name"] for row in rows}


def test_the_tasks_that_ship_are_these_and_their_folds_do_not_depend_on_columns():
    tasks = {task.name: task.config() for task in read_tasks(ROOT / FOLDER)}
    assert list(tasks) == [
        "a-full", "a-hidden", "market-b", "btc-long", "btc-momentum", "eth-momentum", "majors-cross", "crash-stress",
    ]  # fmt: skip
    for config in tasks.values():
        if config.kind == "study":
            assert config.cuts.from_ is not None
    assert tasks["majors-cross"].decision.margin_mode == "cross"
    assert tasks["a-full"].test_years >= 8_000  # fewer do not tell 0.95 from 0.98
