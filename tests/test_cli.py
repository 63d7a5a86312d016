"""The command line answers at once, ends mistakes in one message, and writes its results as JSON."""

import json
import subprocess
import sys

import pytest

HEAVY = "pandas numba pyarrow scipy sklearn lightgbm arch torch stable_baselines3 mlflow onnx matplotlib"
SHORT = ["market.years=0.5"]


def run(*arguments, check=True):
    return subprocess.run(
        [sys.executable, "-m", "gearing.cli", *arguments], capture_output=True, text=True, check=check
    )


@pytest.mark.parametrize("arguments", [["--help"], ["backtest", "--help"], ["data", "--help"]])
def test_help_loads_nothing_heavy(arguments):
    code = f"""
import sys
from gearing import cli
sys.argv = ["gearing", *{arguments!r}]
try:
    cli.main()
except SystemExit:
    pass
print("LOADED", sorted(set({HEAVY.split()}) & set(sys.modules)))
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip().endswith("LOADED []")


def test_show_prints_an_experiment_whole(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("# What survives?\nrules: [fixed_3x]\n")
    shown = run("show", str(path), "seeds=2").stdout
    assert shown.startswith("# What survives?")
    assert "seeds: 2" in shown


def test_a_mistake_ends_in_one_message_without_a_traceback(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("rules: [fixed_3x]\nsees: 3\n")
    answer = run("show", str(path), check=False)
    assert answer.returncode == 2
    assert answer.stderr == f"error: {path}: no field 'sees'. Did you mean 'seeds'?\n"


def test_backtest_prints_a_table_and_writes_every_number(tmp_path):
    out = tmp_path / "result.json"
    shown = run("backtest", "fixed_3x", *SHORT, "decision.margin_share=0.1", "--json", str(out)).stdout
    assert "fixed_3x" in shown
    row = json.loads(out.read_text())
    assert row["effective_leverage"] == pytest.approx(0.3, abs=0.05)


def test_an_unknown_rule_is_refused_with_the_nearest():
    answer = run("backtest", "tierd", check=False)
    assert answer.returncode == 2
    assert "Did you mean 'tiered'?" in answer.stderr


def test_data_describe_shows_facts_beside_their_ranges(tmp_path):
    out = tmp_path / "facts.json"
    assert "Hill tail index" in run("data", "describe", *SHORT, "--json", str(out)).stdout
    assert json.loads(out.read_text())["facts"]["Hill tail index 1 h"] > 0


@pytest.mark.slow
def test_forecast_scores_a_forecaster_out_of_sample(tmp_path):
    path, out = tmp_path / "x.yaml", tmp_path / "scores.json"
    path.write_text("market: {years: 2}\nforecast: {forecaster: har}\nrules: [fixed_3x]\n")
    assert "qlike" in run("forecast", str(path), "--json", str(out)).stdout
    assert 0.0 < json.loads(out.read_text())["qlike"] < 1.0
