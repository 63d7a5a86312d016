"""The study of learned books with a known optimum: what its numbers are, on returns made by hand and in a small run."""

import json

import numpy as np
import pandas as pd
import pytest

from gearing.studies.known_book.config import ORACLE, KnownBookConfig
from gearing.studies.known_book.play import Played
from gearing.studies.known_book.run import growth_at, mean_rows, path_rows, yearly
from gearing.studies.runner import run_study

COLUMNS = ["scaled_momentum_10d", "scaled_momentum_20d"]
AGENT = {
    "algorithm": "differentiable_book", "columns": COLUMNS, "network": {"volatility": "realized_volatility_20d"},
    "total_decisions": 4 * 60 * 8, "n_accounts": 8, "episode": "60d",
}  # fmt: skip
SMALL = {
    "kind": "known_book", "name": "small", "history": [1.0], "years": 1.5, "markets": 1, "seeds": 2,
    "tests": ["book-drift", "book-wrong"],
    "rules": {"trend": {"rule": "book_trend", "windows": ["10d", "20d"], "short": 1.0}},
    "agents": {"linear": AGENT},
}  # fmt: skip


def config(**changes):
    return KnownBookConfig.model_validate(SMALL | changes)


def test_a_share_is_growth_at_equal_risk_over_the_optimums_whatever_the_leverage():
    """Half of the optimum's leverage has the same growth at equal risk, a share of 1; fewer good days a smaller one."""
    rng = np.random.default_rng(0)
    best = rng.normal(0.002, 0.01, 800)
    worse = best - 0.001
    settings = config()
    played = {
        Played(0): pd.DataFrame({"trend": 0.5 * best, ORACLE: best}),
        Played(0, "linear", 1.0): pd.DataFrame({"linear": worse}),
    }
    paths = path_rows(settings, "book-drift", played)
    share = paths.set_index("policy")["share"]
    assert share[ORACLE] == 1.0
    assert share["trend"] == pytest.approx(1.0, abs=1e-4)
    assert share["linear"] == pytest.approx(growth_at(settings, worse) / growth_at(settings, best))
    assert share["linear"] < 0.9
    assert yearly(np.full(10, np.expm1(0.001))) == pytest.approx(0.365)  # 365 days of 0.001
    rows = mean_rows(settings, paths, {"book-drift": played})
    agent = rows.loc[("book-drift", "linear", 1.0)]
    assert agent.difference == pytest.approx(
        agent.growth_equal_risk - rows.xs("trend", level="policy").growth_equal_risk.iloc[0]
    )
    assert agent.low < agent.difference < agent.high < 0.0


def test_a_ruined_account_is_counted_and_never_averaged():
    """On the first of two paths a rule loses 30 % on its tenth day and next to nothing later. Few windows have that
    day, so their mean reaches the budget at a scale above 1 / 0.3 alone, which loses all of it: the mean of both paths
    is that of a ruined account. One that was ruined as played (NaN) is the same."""
    rng = np.random.default_rng(1)
    best = rng.normal(0.002, 0.01, (2, 800))
    rule = np.stack([best[0] / 1000.0, best[1]])
    rule[0, 9] = -0.3
    settings = config(markets=2)
    played = {}
    for path in range(2):
        played[Played(path)] = pd.DataFrame({"trend": rule[path], ORACLE: best[path]})
        agent = best[path] if path else np.full(800, np.nan)
        played[Played(path, "linear", 1.0)] = pd.DataFrame({"linear": agent})
    paths = path_rows(settings, "book-drift", played)
    assert paths.set_index(["policy", "path"])["ruined"].to_dict() == {
        ("trend", 0): True, ("trend", 1): False, (ORACLE, 0): False, (ORACLE, 1): False,
        ("linear", 0): True, ("linear", 1): False,
    }  # fmt: skip
    rows = mean_rows(settings, paths, {"book-drift": played}).droplevel("history")
    assert rows.droplevel("test")["ruined"].to_dict() == {"trend": 1, ORACLE: 0, "linear": 1}
    for name in ("trend", "linear"):
        row = rows.loc[("book-drift", name)]
        assert row.growth_equal_risk == row.share == row.lowest_share == -np.inf
    assert np.isnan(rows.loc[("book-drift", "linear"), ["difference", "low", "high"]].astype(float)).all()


def test_a_trial_says_what_it_is():
    assert [one.name for one in (Played(1), Played(0, "linear", 7.0))] == ["rules-path1", "linear-7y-path0"]


def test_there_is_no_share_of_an_optimum_that_does_not_grow():
    losing = np.random.default_rng(2).normal(-0.002, 0.01, 800)
    played = {Played(0): pd.DataFrame({"trend": losing, ORACLE: losing})}
    assert path_rows(config(), "book-drift", played)["share"].isna().all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": "book-drit"}, "book-drift"),
        ({"tests": ["market-a"]}, "no synthetic book"),
        ({"agents": {"trend": AGENT}}, "rename one"),
        ({"agents": {"linear": {"algorithm": "ppo"}}}, "trains differentiable_book alone"),
        ({"agents": {"linear": {"algorithm": "differentiable_book"}}}, "name the columns"),
        ({"base": "trnd"}, "trend"),
        ({"history": []}, "at least 1"),
    ],
)
def test_what_cannot_be_studied_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        config(**changes)


@pytest.mark.slow
def test_a_small_study_runs_and_says_what_it_found(tmp_path):
    path = tmp_path / "small.json"
    path.write_text(json.dumps(SMALL | {"output": str(tmp_path), "tracking": {"enabled": False}}))
    done = run_study(path)
    rows = done.findings.tables["rows"]
    assert set(rows.index.get_level_values("policy")) == {"trend", "linear", ORACLE}
    assert (rows.xs(ORACLE, level="policy")["share"] == 1.0).all()
    assert np.isfinite(rows.xs("linear", level="policy")[["share", "difference", "low", "high"]]).all(
        axis=None
    )
    assert [row["policy"] for row in done.findings.json["rows"] if row["main"]] == ["linear", "linear"]
    assert "share of the optimum's growth" in done.findings.line
