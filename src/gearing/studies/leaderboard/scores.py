"""What a finished task says of a policy: its score with an interval, and what else belongs to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from gearing.evaluation.metrics import RUINED
from gearing.evaluation.statistics.inference import mean_interval
from gearing.studies.runner import Experiment

_SHARE, _GROWTH, _CRASH = "share of the oracle's growth", "log growth a year", "log growth over a crash"
# Columns of a study with groups that belong to a score.
_MORE = (
    "versus_fixed", "fixed_low", "fixed_high", "placebo_p", "leverage", "liquidations", "drawdown", "ruined",
    "accounts",
)  # fmt: skip
_OF_AN_ACCOUNT = ("versus", "versus_low", "versus_high", "effective_leverage", "liquidations", "max_drawdown")


def scores_of(done: Experiment) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and score of every policy of a finished task; agents over their seeds."""
    tables = done.findings.tables
    if done.config.kind == "regret":
        yield from _of_regret(tables)
    elif done.config.kind == "crash_stress":
        yield from _of_crashes(tables["policies"])
    elif "policies" in tables:
        yield from _of_groups(tables["policies"])
    else:
        yield from _of_account(done)


def _score(measure: str, score: Any, low: Any, high: Any, seeds: int = 1, **more: Any) -> dict[str, Any]:
    numbers = {"score": score, "low": low, "high": high, **more}
    return {"measure": measure, "seeds": seeds, **{name: _plain(value) for name, value in numbers.items()}}


def _plain(value: Any) -> Any:
    """A number as JSON knows it; None for NaN."""
    if isinstance(value, str) or value is None:
        return value
    number = float(value)
    return number if np.isfinite(number) else None


def _of_regret(tables: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    columns = ["score", "score_low", "score_high", "growth", "leverage"]
    for kind in ("agents", "rules"):
        for name, row in tables[kind].iterrows() if kind in tables else ():
            score, low, high, growth, leverage = (row[column] for column in columns)
            seeds = int(row.get("seeds", 1))
            yield str(name), _score(_SHARE, score, low, high, seeds, growth=growth, leverage=leverage)
    oracle = tables["references"].loc["oracle"]
    yield "oracle", _score(_SHARE, 1.0, None, None, growth=oracle["growth"])


def _of_groups(table: pd.DataFrame) -> Iterator[tuple[str, dict[str, Any]]]:
    for (_, _, name), row in table.iterrows():
        more = {column: row[column] for column in _MORE}
        growth = (row["growth"], row["growth_low"], row["growth_high"])
        yield str(name), _score(_GROWTH, *growth, max(int(row["seeds"]), 1), **more)


def _of_account(done: Experiment) -> Iterator[tuple[str, dict[str, Any]]]:
    board = done.leaderboard
    daily: dict[str, list[np.ndarray]] = {}
    for trial, result in done.results.items():
        daily.setdefault(trial.policy, []).append(result.daily_log_growth)
    for name, row in board.iterrows():
        low = high = None
        if row["log_growth"] != RUINED and name in daily:
            low, high = mean_interval(np.concatenate(daily[str(name)]), seed=0)
        more = {column: row.get(column) for column in _OF_AN_ACCOUNT}
        yield str(name), _score(_GROWTH, row["log_growth"], low, high, **more)


def _of_crashes(table: pd.DataFrame) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, rows in table.groupby(level="policy", sort=False):
        crashes = rows.droplevel("policy")
        # Crashes are played on the same paths: their mean has no smaller error than that of independent ones.
        growth, low, high = (crashes[column].mean() for column in ("growth", "growth_low", "growth_high"))
        more = {
            f"{crash}.{column}": row[column]
            for crash, row in crashes.iterrows()
            for column in ("growth", "liquidated", "ruined")
        }
        yield str(name), _score(_CRASH, growth, low, high, **more)
