"""A comparison with a known optimum in one table and one figure: every policy by its share of the optimum's growth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from gearing.drawing import NEUTRAL, REFERENCE, SMALL, WIDTH, colour, figure_style, new_figure, over_seeds
from gearing.studies.experiment import Headline
from gearing.studies.regret.config import RegretConfig
from gearing.studies.regret.tables import growth_of, rule_table
from gearing.studies.trials import Result

_BEST = "best_fixed"
_FLOOR = -0.35  # of the figure's axis; a policy below is drawn there, its score is written next to it


def headline(
    config: RegretConfig, agents: pd.DataFrame | None, rules: Sequence[Result], known: Sequence[Result],
    curves: pd.DataFrame,
) -> Headline:  # fmt: skip
    """Table ``policy, kind, score, low, high, growth, leverage, seeds``: rules, agents and the oracle.

    ``score`` is the policy's log growth over the oracle's on the same test paths. Intervals of agents are those over
    seeds, of rules those over the years of the test.

    Parameters
    ----------
    agents : DataFrame, optional
        Of `gearing.studies.regret.tables.agent_table`.
    rules : sequence of Result
    known : sequence of Result
        Of the oracle, of half of its leverage, which is not shown, and of the best fixed leverage.
    curves : DataFrame
        Validations of the trainings, of `gearing.evaluation.comparisons.comparison.Comparison`.
    """
    oracle, _, fixed = known[:3]
    of_rules = rule_table(config, [*rules, fixed], oracle)
    rows = [
        _row(str(name).replace("_", " ") if name == _BEST else str(name), "rule", row)
        for name, row in of_rules.iterrows()
    ]
    if agents is not None:
        rows += [_row(str(name), "agent", row) for name, row in agents.iterrows()]
    growth = float(growth_of(oracle).sum() / config.test_years)
    leverage = float(np.mean(oracle.summary["leverage"]))
    rows.append({"policy": "oracle", "kind": "oracle", "score": 1.0, "growth": growth, "leverage": leverage})
    table = pd.DataFrame(rows).sort_values("score", ascending=False, kind="stable").set_index("policy")
    return Headline(table, _printed(table), _figure(table, curves), _sentence(config, table))


def _sentence(config: RegretConfig, table: pd.DataFrame) -> str:
    """What agents reach of the optimum, and the best of those that do not learn."""
    agents = [f"{name} {row['score']:.2f}" for name, row in table[table["kind"] == "agent"].iterrows()]
    rules = table[table["kind"] == "rule"]
    best = f"the best rule, {rules['score'].idxmax()}, {rules['score'].max():.2f}"
    return (
        f"Share of the optimum's growth over {config.test_years:,.0f} test years: "
        f"{', '.join([*agents, best])}."
    )


def _row(name: str, kind: str, row: Any) -> dict[str, Any]:
    return {
        "policy": name, "kind": kind, "score": row["score"], "low": row["score_low"], "high": row["score_high"],
        "growth": row["growth"], "leverage": row["leverage"], "seeds": row.get("seeds", np.nan),
    }  # fmt: skip


def _printed(table: pd.DataFrame) -> pd.DataFrame:
    """The table as texts."""
    intervals = [
        "" if np.isnan(row.low) else f"[{row.low:+.2f}, {row.high:+.2f}]" for row in table.itertuples()
    ]
    return pd.DataFrame(
        {
            "kind": table["kind"],
            "share of optimum": [f"{score:+.3f}" for score in table["score"]],
            "95 % interval": intervals,
            "growth/y": [f"{growth:+.3f}" for growth in table["growth"]],
            "leverage": [f"{leverage:.2f}" for leverage in table["leverage"]],
            "seeds": ["" if np.isnan(seeds) else f"{seeds:.0f}" for seeds in table["seeds"]],
        }
    )


@figure_style
def _figure(table: pd.DataFrame, curves: pd.DataFrame) -> Any:
    """Left: scores on the test with intervals. Right: how agents learned, by processor seconds."""
    panels = 1 if curves.empty else 2
    figure = new_figure(WIDTH, 1.2 + 0.34 * len(table))
    axes = figure.subplots(1, panels, width_ratios=[1.15, 1.0][:panels], squeeze=False)[0]
    places = {name: k for k, name in enumerate(table.index[table["kind"] == "agent"])}
    _scores(axes[0], table.iloc[::-1], places)
    if panels == 2:
        _learning(axes[1], curves, places)
    return figure


def _scores(axis: Any, table: pd.DataFrame, places: Mapping[Any, int]) -> None:
    axis.axvline(1.0, **REFERENCE, ls="--")
    for k, row in enumerate(table.itertuples()):
        score = max(row.score, _FLOOR)
        own = colour(places[row.Index]) if row.Index in places else NEUTRAL if row.kind == "rule" else "0.25"
        axis.barh(k, score, color=own, height=0.62)
        if np.isfinite(row.low):
            axis.plot([max(row.low, _FLOOR), max(row.high, _FLOOR)], [k, k], color="0.1", lw=1.2)
        axis.text(max(score, row.high, 0.0) + 0.03, k, f"{row.score:.2f}", va="center", fontsize=SMALL)
    axis.axvline(0.0, color="0.2", lw=0.8)
    axis.set_yticks(range(len(table)), table.index)
    axis.set_xlim(min(0.0, max(table["score"].min(), _FLOOR) - 0.03), 1.2)
    axis.set_xlabel("growth on the test, share of the optimum's")
    axis.grid(visible=False, axis="y")


def _learning(axis: Any, curves: pd.DataFrame, places: Mapping[Any, int]) -> None:
    """Scores along the training: the median over seeds, and a band from the lowest to the highest."""
    axis.axhline(1.0, **REFERENCE, ls="--", label="optimum")
    for name, k in places.items():
        own = curves[curves["policy"] == name]
        scores = own.pivot(index="seed", columns="decisions", values="score")
        seconds = own.groupby("decisions", sort=True)["cpu_seconds"].median()
        over_seeds(axis, seconds, scores.to_numpy(float), k, marker=".", label=name)
    axis.set_ylim(0.0, 1.1)
    axis.set_xlabel("CPU seconds of training, one core")
    axis.set_ylabel("score on validation\n(median and range of seeds)")
    axis.legend(loc="lower right")
