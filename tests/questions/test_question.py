"""Each question is an experiment that runs on a generated market as on history, and its file can be read."""

from pathlib import Path

import pytest

from gearing.studies import load_config
from gearing.studies.runner import run_study

FOLDER = Path(__file__).resolve().parents[2] / "experiments"
# (kind, what makes it small, tables with the columns they are keyed by)
SMALL = {
    "leverage_risk": (
        "market: {years: 0.5}\nleverages: [3, 20]\nhorizons: [1d, 7d]\nreplications: 100\n",
        {"safest": "horizon", "risk": "leverage"},
    ),
    "funding_erosion": (
        "market: {years: 0.8}\nleverages: [3, 10]\nhorizons: [7d]\nreplications: 100\n",
        {"overall": "leverage", "held": "year", "rebalanced": "year", "months": "burden"},
    ),
    "margin_modes": (
        "market: {years: 0.4, contracts: [A, B]}\nleverages: [5, 20]\nhorizons: [7d]\nreplications: 100\n",
        {"modes": "mode", "crashes": "crash"},
    ),
    "methods": (
        "market: {years: 0.6}\nrules: [fixed_10x, inverse_atr]\nreplications: 100\nshifts: 5\n"
        "traders: [inverse_atr]\nappetites: [3]\nhorizon: 90d\n",
        {"methods": "method", "advice": "rule", "comparison": "rule", "cells": "rule", "traders": "rule"},
    ),
}  # fmt: skip


def small(tmp_path, kind):
    path = tmp_path / f"{kind}.yaml"
    path.write_text(f"# A question?\nkind: {kind}\n{SMALL[kind][0]}", encoding="utf-8")
    return run_study(path, [f"output={tmp_path}", "tracking.enabled=false"])


@pytest.mark.parametrize(
    "kind",
    ["leverage_risk", "funding_erosion", "margin_modes", "reference_ablation", "methods", "crash_replay"],
)
def test_the_shipped_experiment_can_be_read(kind, monkeypatch):
    monkeypatch.setenv("GEARING_DATA", "somewhere")
    config = load_config(FOLDER / f"{kind}.yaml")
    assert config.kind == kind
    assert config.name == kind
    assert config.question.endswith("?") or "? " in config.question
    assert config.market.folder == "somewhere"


@pytest.mark.parametrize("kind", SMALL)
def test_a_question_yields_tables_a_figure_and_a_line(kind, tmp_path):
    done = small(tmp_path, kind)
    for name, key in SMALL[kind][1].items():
        table = done.findings.tables[name]
        assert key in table.index.names, name
        assert (done.folder / f"{name}.csv").is_file()
    assert done.findings.line
    assert done.figures
    assert all(path.stat().st_size > 5_000 for path in done.figures)
    assert "A question?" in (done.folder / "report.md").read_text(encoding="utf-8")


def test_signals_are_pairs_in_a_file(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("kind: reference_ablation\nmarket: {years: 0.6}\nsignals: [[return, 7d], [mean, 7d]]\n")
    assert load_config(path).signals == [("return", "7d"), ("mean", "7d")]
    with pytest.raises(ValueError, match=r"signals\.0"):
        load_config(path, ["signals=[[return]]"])


@pytest.mark.slow
def test_the_ablation_is_an_experiment(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(
        "kind: reference_ablation\nmarket: {years: 0.6}\nsignals: [[return, 7d], [mean, 7d]]\n",
        encoding="utf-8",
    )
    done = run_study(path, [f"output={tmp_path}", "tracking.enabled=false"])
    assert list(done.findings.tables["signals"].index) == ["reference", "return 7d", "mean 7d"]
    assert done.findings.tables["ablation"].index[0] == "reference"


def test_traders_can_only_try_rules_that_are_there(tmp_path):
    path = tmp_path / "m.yaml"
    path.write_text(
        "kind: methods\nmarket: {years: 0.4}\nrules: [fixed_3x]\ntraders: [inverse_atr]\n", encoding="utf-8"
    )
    with pytest.raises(ValueError, match="inverse_atr"):
        run_study(path, [f"output={tmp_path}", "tracking.enabled=false"])
