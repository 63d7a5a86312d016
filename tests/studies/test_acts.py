"""Experiments in several acts: one folder, one tracked run, one report, and nothing of an act computed twice."""

from dataclasses import dataclass
from typing import Literal

import pandas as pd
import pytest
import yaml

from gearing.drawing import new_figure
from gearing.studies import load_config
from gearing.studies.experiment import ExperimentConfig, Findings, Headline, experiment
from gearing.studies.runner import run_study
from gearing.studies.trials import Trial

COUNTED = []


class Counting(ExperimentConfig):
    """Counts up to a number."""

    kind: Literal["counting"] = "counting"
    upto: int


class Adding(ExperimentConfig):
    """Adds two numbers; its headline is another table than its first."""

    kind: Literal["adding"] = "adding"
    pair: list[int]


@dataclass(frozen=True)
class Sum(Trial):
    """A trial that has a tracked run."""

    first: int
    second: int


def add(trial, place):
    return {"total": trial.first + trial.second}


def table(**columns):
    return pd.DataFrame(columns, index=pd.Index(range(len(next(iter(columns.values())))), name="row"))


@experiment(Counting)
def counting(config, work):
    def count():
        COUNTED.append(config.upto)
        return table(number=list(range(1, config.upto + 1)))

    numbers = work.part("numbers", count)
    return Findings(
        f"up to {config.upto}", {"numbers": numbers, "last": numbers.tail(1)}, {"line": new_figure(2, 2)},
        metrics={"most": float(numbers.number.max())}, notes=(f"counted by ones to {config.upto}",),
        conclusions=("Counting ends.",), limits=("Nothing is said of halves.",),
    )  # fmt: skip


@experiment(Adding)
def adding(config, work):
    (one,) = work.run([Sum(*config.pair)], add)
    total = table(total=[one.summary["total"]])
    shown = Headline(total, total.astype(str), new_figure(2, 2), f"the sum is {sum(config.pair)}")
    return Findings("added", {"pair": table(number=config.pair)}, headline=shown)


EXPERIMENT = """\
# What do numbers do?
kind: counting
upto: 4
acts:
  few: {kind: counting, question: "How many are few?", upto: 3}
  sum: {kind: adding, pair: [2, "${upto}"]}
"""


@pytest.fixture
def path(tmp_path):
    place = tmp_path / "numbers.yaml"
    place.write_text(EXPERIMENT, encoding="utf-8")
    return place


def settings(tmp_path, *more):
    return [f"output={tmp_path / 'runs'}", "tracking.enabled=false", *more]


def test_each_act_leaves_its_headline_and_its_other_tables_under_its_name(path, tmp_path):
    done = run_study(path, settings(tmp_path))
    written = {file.stem: pd.read_csv(file, index_col="row") for file in done.folder.glob("*.csv")}
    assert sorted(written) == ["few", "few-last", "few-numbers", "last", "numbers", "sum", "sum-pair"]
    assert written["few"].number.tolist() == [1, 2, 3]  # without a headline, the first table
    assert written["sum"].total.tolist() == [2 + 4]  # ${upto} is that of the whole experiment
    assert done.leaderboard.number.tolist() == [1, 2, 3, 4]  # the experiment's own table stays the first
    assert sorted(figure.name for figure in done.figures) == ["counting.png", "few.png", "sum.png"]
    assert done.findings.metrics == {"most": 4.0, "few/most": 3.0}


def test_terminal_and_report_show_the_acts_in_their_order(path, tmp_path):
    done = run_study(path, settings(tmp_path))
    report = (done.folder / "report.md").read_text(encoding="utf-8")
    for text, marks in (
        (done.summary, ("Act 1: few", "How many are few?", "up to 3", "Act 2: sum", "the sum is 6", "Act 3: counting")),
        (report, ("## Act 1: few", "**up to 3**", "![few](few.png)", "Counting ends.", "## Act 2: sum", "| 0 | 6 |",
                  "## Act 3: counting", "## Protocol")),
    ):  # fmt: skip
        places = [text.index(mark) for mark in marks]
        assert places == sorted(places)
    assert max(map(len, done.summary.partition("figure ")[0].splitlines())) <= 80
    assert report.count("counted by ones to 3") == 1


def test_acts_are_not_computed_again(path, tmp_path):
    COUNTED.clear()
    run_study(path, settings(tmp_path))
    run_study(path, settings(tmp_path))
    run_study(path, settings(tmp_path, "upto=5"))  # only what reads it is new
    assert COUNTED == [3, 4, 5]


def test_an_act_is_stored_with_the_experiment_and_runs_again(path, tmp_path):
    done = run_study(path, settings(tmp_path))
    stored = done.folder / "experiment.yaml"
    assert load_config(stored) == done.config
    acts = yaml.safe_load(stored.read_text(encoding="utf-8"))["acts"]
    assert acts["few"] == {"kind": "counting", "question": "How many are few?", "upto": 3}
    assert load_config(path, ["acts.few.upto=9"]).digest != load_config(path).digest


def test_lines_of_progress_begin_with_the_act(path, tmp_path, capsys):
    run_study(path, settings(tmp_path), progress=True)
    lines = capsys.readouterr().out.splitlines()
    assert "act 1 of 3, few: How many are few?" in lines
    assert "few: numbers" in lines
    assert "numbers" in lines


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("acts.few.upto=many", r"override acts\.few\.upto=many, acts\.few\.upto: 'many' is refused: it must"),
        ("acts.few.uptoo=3", r"override acts\.few\.uptoo=3, acts\.few: no field 'uptoo'\. Did you mean 'upto'"),
        ("upto=many", r"numbers\.yaml, line 6, acts\.sum\.pair\.1: 'many' is refused"),  # read through ${upto}
        ("acts.few.jobs=2", r"numbers\.yaml, line 5, acts\.few\.jobs: an act takes it from its experiment"),
        ("acts.few.kind=countin", r"numbers\.yaml, line 5, acts\.few: no kind 'countin'\. Did you mean 'counting'"),
        ("acts.few=3", r"numbers\.yaml, line 5, acts\.few: 3 is refused: it must be an experiment"),
        ("acts=[few]", r"override acts=\[few\], acts: \['few'\] is refused: it must be a mapping"),
        ("acts.few.acts={}", r"acts\.few\.acts: an act takes it from its experiment"),
        ("acts.pair=null", r"acts\.pair: None is refused: it must be an experiment"),
        ("acts.numbers={kind: counting, upto: 2}", r"acts\.numbers: a table or figure of the experiment has this name"),
    ],
)  # fmt: skip
def test_a_mistake_in_an_act_is_refused_with_its_place(path, tmp_path, override, message):
    with pytest.raises(ValueError, match=message):
        run_study(path, settings(tmp_path, override))


def test_trials_of_acts_are_children_of_the_experiments_run(path, tmp_path, uri):
    import mlflow

    run_study(path, [f"output={tmp_path / 'runs'}", f"tracking.uri={uri}"])
    child, parent = mlflow.MlflowClient(uri).search_runs(["1"], order_by=["attributes.start_time DESC"])
    assert (parent.info.run_name, child.info.run_name) == ("numbers", "2-4")
    assert parent.data.metrics["few/most"] == 3.0
    assert child.data.metrics["total"] == 6.0
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert (child.data.tags["act"], child.data.tags["kind"], child.data.tags["study"]) == (
        "sum",
        "adding",
        "numbers",
    )
