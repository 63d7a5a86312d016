"""An experiment of any kind is read, run, written, kept and tracked by the same command."""

import subprocess
import sys
from typing import Literal

import pandas as pd
import pytest

import gearing
from gearing.market import synthetic_market
from gearing.market.history.writing import write_market
from gearing.studies import load_config
from gearing.studies.experiment import ExperimentConfig, Findings, experiment
from gearing.studies.runner import run_study
from gearing.studies.study.config import load_study

CALLS = []


class Doubling(ExperimentConfig):
    """A kind of a user's own."""

    kind: Literal["doubling"] = "doubling"
    numbers: list[int]


@experiment(Doubling)
def doubling(config, work):
    from gearing.drawing import new_figure

    def make():
        CALLS.append(config.numbers)
        return pd.DataFrame({"number": config.numbers, "double": [2 * n for n in config.numbers]}).set_index(
            "number"
        )

    table = work.part("doubles", make)
    return Findings(
        line=f"twice {config.numbers}", tables={"doubles": table}, figures={"empty": new_figure(2, 2)},
        metrics={"largest": float(table.double.max())}, notes=("Whole numbers only.",),
    )  # fmt: skip


@pytest.fixture
def path(tmp_path):
    place = tmp_path / "twice.yaml"
    place.write_text("# What is twice as much?\nkind: doubling\nnumbers: [1, 3]\n", encoding="utf-8")
    return place


def settings(tmp_path, *more):
    return [f"output={tmp_path / 'runs'}", "tracking.enabled=false", *more]


def test_a_kind_of_ones_own_leaves_tables_figures_and_a_report(path, tmp_path):
    done = run_study(path, settings(tmp_path))
    assert done.leaderboard.double.tolist() == [2, 6]
    assert pd.read_csv(done.folder / "doubles.csv").double.tolist() == [2, 6]
    assert done.figures[0].stat().st_size > 0
    report = (done.folder / "report.md").read_text(encoding="utf-8")
    for told in (
        "What is twice as much?",
        "**twice [1, 3]**",
        "Whole numbers only.",
        "| 3 | 6 |",
        "![empty]",
    ):
        assert told in report
    assert done.summary.endswith("twice [1, 3]")
    assert done.as_dict()["doubles"][1] == {"number": 3, "double": 6}


def test_an_experiment_started_again_repeats_no_part(path, tmp_path):
    CALLS.clear()
    first = run_study(path, settings(tmp_path))
    again = run_study(path, settings(tmp_path))
    other = run_study(path, settings(tmp_path, "numbers=[5]"))
    assert CALLS == [[1, 3], [5]]
    assert first.folder == again.folder != other.folder
    pd.testing.assert_frame_equal(first.leaderboard, again.leaderboard)


def history(folder, seed):
    made = synthetic_market("market-b", seed=seed, years=0.5, contracts=("BTCUSDT",))
    write_market(made, folder, replace=True)


def test_results_of_other_values_of_a_market_do_not_count_as_done(tmp_path):
    place, folder = tmp_path / "held.yaml", tmp_path / "history"
    place.write_text(
        f"kind: leverage_risk\nmarket: {{folder: {folder}, contracts: [BTCUSDT], missing_tiers: earliest}}\n"
        "leverages: [3.0]\n"
        "horizons: [7d]\nreplications: 100\n",
        encoding="utf-8",
    )
    history(folder, seed=1)
    first = run_study(place, settings(tmp_path))
    assert run_study(place, settings(tmp_path)).leaderboard.equals(first.leaderboard)
    history(folder, seed=2)  # other prices under the same settings
    assert not run_study(place, settings(tmp_path)).leaderboard.equals(first.leaderboard)


def test_trials_of_other_values_of_a_market_do_not_count_as_done(tmp_path):
    place, folder = tmp_path / "rules.yaml", tmp_path / "history"
    place.write_text(
        f"market: {{folder: {folder}, contracts: [BTCUSDT], missing_tiers: earliest}}\n"
        "rules: [fixed_2x]\nforecast: null\nfolds: {train: 10d, validate: 5d, test: 10d}\n",
        encoding="utf-8",
    )
    history(folder, seed=1)
    first = run_study(place, settings(tmp_path))
    history(folder, seed=2)
    other = run_study(place, settings(tmp_path))
    assert first.folder == other.folder
    assert not other.leaderboard.equals(first.leaderboard)


def test_what_ran_is_stored_as_a_file_that_runs_again(path, tmp_path):
    done = run_study(path, settings(tmp_path))
    assert load_config(done.folder / "experiment.yaml") == done.config


def test_unknown_kinds_and_fields_are_refused_by_name(path):
    with pytest.raises(ValueError, match=r"no kind 'doublin'\. Did you mean 'doubling'"):
        load_config(path, ["kind=doublin"])
    with pytest.raises(ValueError, match=r"no field 'numberz'\. Did you mean 'numbers'"):
        load_config(path, ["numberz=[1]"])
    with pytest.raises(ValueError, match="of kind 'doubling'; a study is needed here"):
        load_study(path)


def test_reading_an_experiment_loads_no_learning_or_forecasting_library():
    """Every kind is imported then; a study of rules runs where only the base package is installed."""
    heavy = {"sklearn", "lightgbm", "arch", "torch", "stable_baselines3", "mlflow", "onnx", "matplotlib"}
    code = (
        "import sys; from gearing.studies import load_config; load_config({'name': 'x', 'rules': ['fixed_1x']}); "
        f"print(sorted({heavy!r} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_the_run_is_tracked_with_its_result(path, tmp_path):
    import mlflow

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    run_study(path, [f"output={tmp_path / 'runs'}", f"tracking.uri={uri}"])
    client = mlflow.MlflowClient(uri)
    (run,) = client.search_runs([client.get_experiment_by_name("gearing").experiment_id])
    assert run.data.metrics["largest"] == 6.0
    assert run.data.tags["result"] == "twice [1, 3]"
    assert run.data.params["kind"] == "doubling"
    assert {"report.md", "doubles.csv", "experiment.yaml"} <= {
        f.path for f in client.list_artifacts(run.info.run_id)
    }


def test_the_report_says_rules_fees_data_and_code(tmp_path):
    place = tmp_path / "rules.yaml"
    place.write_text(
        "market: {years: 0.6, seed: 1}\nrules: [fixed_2x]\nforecast: null\nexchange: {venue: bybit}\n"
        "folds: {train: 10d, validate: 5d, test: 20d, count: 1}\n",
        encoding="utf-8",
    )
    done = run_study(place, settings(tmp_path))
    report = (done.folder / "report.md").read_text(encoding="utf-8")
    for said in (
        "FixedLeverage(leverage=2.0)",
        "venue: bybit, rules as of",
        "taker 0.0550%",  # Bybit's lowest level
        next(iter(done.findings.markets.values())).fingerprint,
        "fold 0: train",
        f"Made by gearing {gearing.__version__}, ",
    ):
        assert said in report, said
