"""A search in a study trains on every fold, is judged on all validation spans, and plays no test span."""

import numpy as np
import pandas as pd
import pytest

from gearing.evaluation.statistics.selection import deflated_sharpe
from gearing.studies.reading import load_config
from gearing.studies.runner import run_study
from gearing.studies.search.config import CHOSEN
from gearing.studies.study.prepare import Prepared

STUDY = {
    "name": "tiny",
    "market": {"seed": 2, "years": 2},
    "folds": {"train": "200d", "validate": "60d", "test": "90d", "count": 2},
    "decision": {"max_leverage": 5, "margin_share": 0.5},
    "columns": ["log_return"],
    "forecast": None,
    "rules": ["fixed_1x"],
    "agents": {
        "differentiable": {
            "algorithm": "differentiable", "total_decisions": 600, "n_accounts": 8, "episode": "30d",
            "validate_every": 300, "network": {"layers": [4]},
        }
    },
    "seeds": 1,
    "tracking": {"enabled": False},
}  # fmt: skip
SEARCH = {
    "trials": 3,
    "batch": 3,
    "space": {
        "columns": [["log_return"], ["log_return", "trend_7d"]],
        "parameters.learning_rate": {"low": 1e-3, "high": 1e-1, "log": True},
        "parameters.n_steps": {"low": 8, "high": 16},
    },
}


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A finished search, the spans that it opened, and its folds."""
    output, spans, folds = str(tmp_path_factory.mktemp("search")), set(), {}
    usual = Prepared.cut

    def cut(prepared, account, span, columns=None):
        spans.add(span)
        folds.update({fold.number: fold for fold in prepared.folds})
        return usual(prepared, account, span, columns)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Prepared, "cut", cut)
        done = run_study(load_config({**STUDY, "search": SEARCH, "output": output}))
    return done, spans, [folds[0], folds[1]]


@pytest.mark.slow
def test_a_search_trains_and_validates_on_every_fold_and_opens_no_test(searched):
    done, spans, folds = searched
    assert done.failed.empty
    assert spans == {span for fold in folds for span in (fold.train, fold.validate)}
    # From the end of the first training on, the first test lasts from day 62 (1 + 60 + 1) to day 152, and the second
    # validation ends on day 151 (90 + 1 + 60): one day of the first test and all 90 of the second are new.
    last = folds[1].validate[1]
    new = sum(max(fold.test[1] - max(fold.test[0], last), np.timedelta64(0, "ms")) for fold in folds)
    assert new / np.timedelta64(1, "D") == 91
    assert "Of 180 test days 91 lie after every validation span" in done.findings.notes[-1]


@pytest.mark.slow
def test_the_sharpe_ratio_of_the_choice_is_deflated_by_what_was_tried(searched):
    done, *_ = searched
    chosen = run_study(done.folder / CHOSEN)
    assert chosen.config.searched.trials == 4
    board = chosen.leaderboard
    assert np.isnan(board.loc["fixed_1x", "deflated_sharpe"])
    (result,) = [one for trial, one in chosen.results.items() if trial.seed == 0 and trial.fold == 0]
    assert 0.0 <= board.loc["differentiable [0]", "deflated_sharpe"] <= 1.0
    returns = np.expm1(
        np.concatenate([one.daily_log_growth for trial, one in chosen.results.items() if trial.seed == 0])
    )
    expected = deflated_sharpe(returns, chosen.config.searched.sharpes, 4)
    assert board.loc["differentiable [0]", "deflated_sharpe"] == pytest.approx(expected, abs=1e-6)
    assert result.daily_log_growth.size == 90
    assert pd.read_csv(chosen.folder / "leaderboard.csv").policy[0] == "fixed_1x"


def test_pretraining_is_refused_in_a_search():
    agent = {**STUDY["agents"]["differentiable"], "pretrain": {"generator": "market-b"}}
    with pytest.raises(ValueError, match=r"Drop agents\.differentiable\.pretrain"):
        load_config({**STUDY, "agents": {"differentiable": agent}, "search": SEARCH})


@pytest.mark.slow
def test_a_search_on_a_few_months_of_history_is_refused(real_history, tmp_path):
    market = {"folder": str(real_history), "from": "2023-01-01", "to": "2024-06-01"}
    given = {**STUDY, "market": market, "search": SEARCH, "output": str(tmp_path)}
    with pytest.raises(ValueError, match=r"all 2 folds are 120 days of history.*fewer than 365"):
        run_study(load_config(given))
