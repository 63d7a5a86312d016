"""A sweep as an experiment: what it reads, what it tells, and what it leaves for a tracked run."""

from pathlib import Path

import pandas as pd
import pytest

import gearing
from gearing.evaluation.sweep.walk_forward import sweep
from gearing.studies import load_config
from gearing.studies.runner import run_study
from gearing.studies.sweep import SweepConfig

EXPERIMENT = Path(__file__).resolve().parents[2] / "experiments" / "sweep.yaml"
SMALL = """\
# What would one have chosen?
kind: sweep
market: {years: 1.0, seed: 5}
space: {rule: fixed, leverage: [0.5, 1.0, 2.0, 4.0]}
train: 120d
test: 60d
replications: 100
"""


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SMALL, encoding="utf-8")
    return path, [f"output={tmp_path / 'runs'}", "tracking.enabled=false"]


def test_the_shipped_experiment_reads_a_generated_market_without_data():
    config = load_config(EXPERIMENT)
    assert isinstance(config, SweepConfig)
    assert not config.market.is_history
    assert config.question.startswith("Do a volatility target's parameters")


def test_an_experiment_finds_what_the_function_finds(small):
    path, settings = small
    done = run_study(path, settings)
    alone = sweep(
        {"rule": "fixed", "leverage": [0.5, 1.0, 2.0, 4.0]},
        gearing.synthetic_market("market-b", seed=5, years=1.0),
        train="120d",
        test="60d",
    )
    told = done.findings
    assert told.metrics["n_configurations"] == alone.n_configurations == 4
    assert told.metrics["deflated_sharpe"] == alone.deflated_sharpe
    assert told.tables["windows"].leverage.tolist() == [chosen["leverage"] for chosen in alone.chosen]
    assert len(pd.read_csv(done.folder / "configurations.csv")) == 4
    outcome = told.tables["outcome"]
    assert len(outcome) == 3
    assert outcome.effective_leverage.iloc[1] == pytest.approx(outcome.effective_leverage.iloc[0], rel=0.01)
    assert "4 configurations" in told.line


def test_the_number_tried_and_the_deflated_ratio_are_metrics_of_the_run(small, tmp_path):
    import mlflow

    path, (output, _) = small
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    done = run_study(path, [output, f"tracking.uri={uri}"])
    client = mlflow.MlflowClient(uri)
    (run,) = client.search_runs([client.get_experiment_by_name("gearing").experiment_id])
    assert run.data.metrics["n_configurations"] == 4.0
    assert run.data.metrics["deflated_sharpe"] == pytest.approx(done.findings.metrics["deflated_sharpe"])


def test_ranges_are_drawn_within_their_bounds_and_counted(small):
    path, settings = small
    done = run_study(path, [*settings, "search=random", "n=7", "space.leverage={low: 1.0, high: 2.0}"])
    tried = done.findings.tables["configurations"]
    assert len(tried) == 7
    assert tried.leverage.between(1.0, 2.0).all()


def test_optuna_is_guided_window_by_window_and_all_its_trials_count(small):
    path, settings = small
    columns = "[realized_volatility_24h, realized_volatility_7d]"
    space = f"space={{rule: volatility_target, column: {columns}, target: {{low: 0.2, high: 2.0}}}}"
    done = run_study(path, [*settings, "search=optuna", "n=5", space])
    told = done.findings
    windows, tried = told.tables["windows"], told.tables["configurations"]
    assert len(windows) == 3
    assert windows.configurations.tolist() == [5, 10, 15]
    assert told.metrics["n_configurations"] == len(tried) == 15
    assert tried.target.between(0.2, 2.0).all()
    assert 0.0 <= told.metrics["deflated_sharpe"] <= 1.0
    again = run_study(path, [*settings, "search=optuna", "n=5", space, f"output={path.parent / 'again'}"])
    pd.testing.assert_frame_equal(again.findings.tables["windows"], windows)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("space.leverage={low: 1.0, high: 2.0}", "a grid takes lists"),
        ("space.leverage={from: 1.0, to: 2.0}", "a range is written"),
        ("space.rule=fixt", "no rule"),
        ("space.levrage=[1.0]", "no parameter"),
        ("search=random", "needs n"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused_before_anything_runs(override, told, small):
    path, settings = small
    with pytest.raises(ValueError, match=told):
        load_config(path, [*settings, override])


def test_a_sweep_whose_account_was_ruined_reports_no_growth(small):
    path, settings = small
    done = run_study(path, [*settings, "market.seed=2", "space.leverage=[3.0, 3.5]"])
    assert "the account was ruined at 2020-" in done.findings.line
    assert "log growth" not in done.findings.line
    assert not {"log_growth", "sharpe", "vs_same_leverage"} & done.findings.metrics.keys()
    assert done.findings.tables["outcome"]["log_growth"].iloc[0] == "ruined"
    assert done.findings.tables["outcome"]["less_theirs"].tolist()[1:] == ["ruined", "ruined"]
