"""The study of learned books on synthetic books with a known optimum."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from gearing.drawing import colour, figure_style, legend_below, new_figure
from gearing.evaluation.metrics import DAYS_PER_YEAR, RUINED
from gearing.evaluation.risk.drawdown_budget import equal_risk_growth
from gearing.evaluation.statistics.inference import growth_difference
from gearing.studies.experiment import Findings, experiment
from gearing.studies.known_book.config import ORACLE, KnownBookConfig
from gearing.studies.known_book.play import Played, play_known, trained_on
from gearing.studies.work import Work

_INDEX = ["test", "policy", "history"]


@experiment(KnownBookConfig)
def known_book(config: KnownBookConfig, work: Work) -> Findings:
    """Tables: ``rows``, by test, policy and years of history, means over paths; ``paths``, every path."""
    markets = {f"{config.train}-{path}": trained_on(config, path)[0] for path in range(config.markets)}
    work.on(markets)
    trials = [Played(path) for path in range(config.markets)]
    trials += [
        Played(path, agent, years)
        for path in range(config.markets) for agent in config.agents for years in config.history
    ]  # fmt: skip
    found = {one.trial: one.folder for one in work.run(trials, partial(play_known, config))}
    series = {
        test: {trial: pd.read_parquet(folder / f"{test}.parquet") for trial, folder in found.items()}
        for test in config.tests
    }
    paths = pd.concat([path_rows(config, test, played) for test, played in series.items()])
    rows = mean_rows(config, paths, series)
    can, cannot = _sentences(config, rows)
    return Findings(
        _line(config, rows), {"rows": rows, "paths": paths.set_index([*_INDEX, "path"])},
        {"learning": learning_figure(config, rows)}, _metrics(rows), markets, _notes(config),
        main=config.main_name, json={"rows": as_rows(config, rows)}, conclusions=can, limits=cannot,
    )  # fmt: skip


def path_rows(config: KnownBookConfig, test: str, played: Mapping[Played, pd.DataFrame]) -> pd.DataFrame:
    """A row for each policy, history and path: growth at equal risk and its share of the optimum's.

    ``growth_equal_risk`` is that of daily returns times the constant at which the mean largest drawdown of 365 days
    is the budget, -inf where a day ruins the account at that constant; ``share`` divides it by the optimum's on the
    same path, costs included, and is NaN where the optimum does not grow.
    """
    rows = []
    for trial, table in played.items():
        best = played[Played(trial.path)][ORACLE].to_numpy(float)
        optimum = growth_at(config, best)
        for policy in table:
            values = table[policy].to_numpy(float)
            growth = optimum if policy == ORACLE else growth_at(config, values)
            share = growth / optimum if 0.0 < optimum < np.inf else np.nan
            ruined = not np.isfinite(growth)
            rows.append((test, policy, trial.history, trial.path, yearly(values), growth, share, ruined))
    return pd.DataFrame(rows, columns=[*_INDEX, "path", "growth", "growth_equal_risk", "share", "ruined"])


def growth_at(config: KnownBookConfig, returns: np.ndarray) -> float:
    """Log growth a year at the budget; -inf for an account that is ruined there, or was ruined as played (NaN)."""
    if not np.isfinite(returns).all():
        return -np.inf
    return float(equal_risk_growth(returns, config.budget).mean() * DAYS_PER_YEAR)


def yearly(returns: np.ndarray) -> float:
    """Log growth a year of simple daily returns; -inf for an account that was ruined."""
    return float(np.log1p(returns).mean() * DAYS_PER_YEAR) if np.isfinite(returns).all() else -np.inf


def mean_rows(
    config: KnownBookConfig, paths: pd.DataFrame, series: Mapping[str, Mapping[Played, pd.DataFrame]]
) -> pd.DataFrame:
    """Means over the paths, with each agent's difference to the base: growth at equal risk, days of all paths resampled
    in blocks. ``ruined`` counts paths; with one, growth is -inf and there is no difference."""
    grouped = paths.groupby(_INDEX, sort=False, dropna=False)
    means = grouped[["growth", "growth_equal_risk"]].mean()
    optimum = means.xs(ORACLE, level="policy")["growth_equal_risk"].droplevel("history")
    optimum = optimum.where((optimum > 0.0) & np.isfinite(optimum))
    means["share"] = means["growth_equal_risk"] / optimum.reindex(means.index, level="test")
    means["lowest_share"] = grouped["share"].agg(lambda shares: shares.min(skipna=False))
    means["ruined"] = grouped["ruined"].sum().astype(int)
    for name in ("difference", "low", "high"):
        means[name] = np.nan
    for test, policy, history in means.index:
        if policy in config.agents:
            one = _difference(config, series[test], policy, history)
            means.loc[(test, policy, history), ["difference", "low", "high"]] = one
    return means


def _difference(
    config: KnownBookConfig, played: Mapping[Played, pd.DataFrame], agent: str, history: float
) -> list[float]:
    scaled: dict[str, list[np.ndarray]] = {"agent": [], "base": []}
    for path in range(config.markets):
        tables = {
            "agent": played[Played(path, agent, history)][agent],
            "base": played[Played(path)][config.base_name],
        }
        for name, column in tables.items():
            scaled[name].append(equal_risk_growth(column.to_numpy(float), config.budget))
    joined = [np.concatenate(scaled[name]) for name in ("agent", "base")]
    if not np.isfinite(joined).all():
        return [np.nan, np.nan, np.nan]
    one = growth_difference(*joined, seed=config.seed, level=config.level)
    return [one.estimate, one.low, one.high]


@figure_style
def learning_figure(config: KnownBookConfig, rows: pd.DataFrame) -> Any:
    """Share of the optimum's growth by years of history, with the rules as lines."""
    figure = new_figure(8.2, 3.6)
    for axis, test in zip(figure.subplots(1, len(config.tests), squeeze=False)[0], config.tests, strict=True):
        known = rows.xs(test, level="test")
        for k, name in enumerate([*config.agents, *config.rules]):
            share = known.xs(name, level="policy")["share"]
            if name in config.agents:
                axis.plot(share.index, share, "o-", color=colour(k), label=name)
            else:
                axis.axhline(float(share.iloc[0]), color=colour(k), ls="--", label=name)
        axis.axhline(1.0, color="0.45", lw=1.0)
        axis.set_title(f"{test}: optimum = 1")
        axis.set_xlabel(f"years of {config.train} learned from")
    figure.axes[0].set_ylabel("share of the optimum's growth at equal risk")
    legend_below(figure)
    return figure


def as_rows(config: KnownBookConfig, rows: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as JSON has them."""
    plain = []
    for row in rows.reset_index().to_dict("records"):
        values = {str(k): v if isinstance(v, str) or np.isfinite(v) else None for k, v in row.items()}
        plain.append({"main": row["policy"] == config.main_name, **values})
    return plain


def _metrics(rows: pd.DataFrame) -> dict[str, float]:
    known = {
        f"{policy}.{test}{'' if np.isnan(history) else f'.{history:g}y'}.share": float(row["share"])
        for (test, policy, history), row in rows.iterrows()
    }
    return {name: value for name, value in known.items() if np.isfinite(value)}


def _line(config: KnownBookConfig, rows: pd.DataFrame) -> str:
    parts = []
    for test in config.tests:
        shares = rows.loc[(test, config.main_name)]["share"]
        text = ", ".join(f"{_shown(share)} after {years:g} years" for years, share in shares.items())
        best, share = best_rule(config, rows, test)
        parts.append(f"{test}: {text} ({best} {_shown(share)})")
    return f"{config.name}, {config.main_name}, share of the optimum's growth at equal risk: " + "; ".join(
        parts
    )


def _shown(share: float) -> str:
    if np.isnan(share):
        return "no share (the optimum does not grow)"
    return f"{share:.2f}" if np.isfinite(share) else RUINED


def best_rule(config: KnownBookConfig, rows: pd.DataFrame, test: str) -> tuple[str, float]:
    """The rule that grew fastest at equal risk in a test, in hindsight, and its share."""
    known = rows.xs(test, level="test").droplevel("history").loc[list(config.rules)]
    best = str(known["growth_equal_risk"].idxmax())
    return best, float(known["share"][best])


def _sentences(config: KnownBookConfig, rows: pd.DataFrame) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What can be concluded of the agents against the base, and what cannot."""
    can, cannot = [], []
    for (test, policy, history), row in rows.iterrows():
        if policy not in config.agents:
            continue
        text = f"On {test}, {policy} after {history:g} years of {config.train} against {config.base_name}"
        if not np.isfinite(row.difference):
            cannot.append(f"{text}: no comparison, one of the two is ruined at equal risk.")
            continue
        text += f": {row.difference:+.3f} [{row.low:+.3f}, {row.high:+.3f}] a year at equal risk"
        if row.low > 0.0 or row.high < 0.0:
            can.append(f"{text}; the interval excludes zero.")
        else:
            cannot.append(f"{text}; which of the two grows faster is open.")
    cannot.append("Nothing follows for history: its drifts are not those of a known process.")
    return tuple(can), tuple(cannot)


def _notes(config: KnownBookConfig) -> tuple[str, ...]:
    return (
        f"Every agent is the mean of {config.seeds} members with seeds of their own; its last weights are played.",
        f"Shares are of means over {config.markets} paths, costs included for the optimum as well, whose targets are "
        "those without costs.",
        "Equal risk: daily returns times the constant, chosen in hindsight, at which the mean largest drawdown of 365 "
        f"days is {config.budget:.0%}; difference, low and high are against {config.base_name}.",
    )
