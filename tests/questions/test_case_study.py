"""The case study reads its experiment, plays its cells and counts what was ruined."""

from pathlib import Path

import pandas as pd
import pytest

from gearing.questions.case_study import CaseStudy, claim, ruined_cells
from gearing.studies import load_config
from gearing.studies.runner import run_study

EXPERIMENT = Path(__file__).resolve().parents[2] / "experiments" / "case_study.yaml"
SMALL = """\
# Does the claim hold in a small market?
kind: case_study
market: {years: 1.5, contracts: [A]}
rules: [fixed_10x, inverse_atr]
rebalancing: [every_decision]
directions: {long: long}
shifts: 5
replications: 100
"""


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SMALL, encoding="utf-8")
    return path, [f"output={tmp_path}", "tracking.enabled=false"]


def test_the_experiment_can_be_read_and_overridden(monkeypatch):
    monkeypatch.setenv("GEARING_DATA", "somewhere")
    config = load_config(EXPERIMENT, ["shifts=0", "market.contracts=[BTCUSDT]"])
    assert isinstance(config, CaseStudy)
    assert config.name == "case_study"
    assert config.market.folder == "somewhere"
    assert config.market.symbols == ["BTCUSDT"]
    assert config.shifts == 0
    assert config.question.startswith("Does 3x in high volatility")
    assert len(config.directions) * len(config.rebalancing) == 9
    assert {"fixed_3x", "volatility_weighted", "inverse_atr"} <= set(config.rules)


def test_a_synthetic_market_is_studied_like_history(small):
    path, settings = small
    short = run_study(path, [*settings, "market.years=0.5"])  # half a year holds no horizon of a year
    horizons = short.findings.tables["held"].index.get_level_values("horizon")
    assert horizons.tolist() == ["1d", "7d", "30d", "90d"]
    done = run_study(path, settings)
    tables = done.findings.tables
    assert len(tables["cells"]) == 2 * 2
    assert list(tables["ruined"].columns) == ["ruined", "cells", "reference_btc"]
    assert tables["held"].probability.is_monotonic_increasing
    assert load_config(done.folder / "experiment.yaml") == done.config
    assert len(pd.read_csv(done.folder / "cells.csv")) == 4


def test_cells_are_counted_by_rule_and_the_claim_by_its_ratio():
    index = pd.MultiIndex.from_tuples(
        [("B", 1.0, "long", "never", "a"), ("B", 1.0, "short", "never", "a"), ("B", 0.1, "long", "never", "a"),
         ("B", 0.1, "short", "never", "a")],
        names=["contract", "margin_share", "direction", "rebalance", "rule"],
    )  # fmt: skip
    cells = pd.DataFrame(
        {
            "ruined": [True, False, False, False],
            "sharpe_gain": [float("nan"), float("nan"), 0.2, -0.1],
            "sharpe_ratio": [float("nan"), float("nan"), 1.4, 0.9],
            "sharpe_low": [float("nan"), float("nan"), 0.1, -0.3],
            "sharpe_high": [float("nan"), float("nan"), 0.3, 0.1],
        },
        index=index,
    )
    assert ruined_cells(cells).loc[("B", "a")].tolist()[:2] == [1, 2]
    found = claim(cells).loc[("B", "a")]
    assert (found["least"], found.largest, found.significantly_better, found.significantly_worse) == (
        0.9,
        1.4,
        1,
        0,
    )
