"""Which way to choose leverage, and for whom? Rules against matched fixed leverage, and the advice to most traders.

The table ``methods`` is the usual comparison (ideal for, advantages, limits), with every phrase decided by a measured
number: "significantly" counts 95 % intervals that exclude zero, "corrected" is what remains of them after correction
for all tests, and only what remains makes a method ideal for anyone.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import pandas as pd
from pydantic import Field, ValidationInfo, field_validator
from scipy.stats import binom

from gearing.evaluation.statistics.multiple_testing import LEVEL
from gearing.market.data import MarketData
from gearing.names import check_names
from gearing.questions.advice_to_traders import (
    APPETITES,
    MOST_ARE_BETTER,
    better_for_most,
    majority_figure,
    trader_outcomes,
)
from gearing.questions.conclusions import of_methods
from gearing.questions.question import Question, as_tuple, by_contract, levels, metrics_of, with_interval
from gearing.questions.rule_grid.cells import Cells, corrected, difference_figure, joined, over_cells
from gearing.questions.rule_grid.play import Evidence, run_cells, table_of
from gearing.studies.experiment import Findings, experiment
from gearing.studies.fields import Direction, Duration
from gearing.studies.rules_and_agents import Rules
from gearing.studies.work import Work

DIRECTIONS = {"long": "long", "long/short": "signal:momentum_side_30d"}
COLUMNS = ("ideal for", "advantages", "limits")
_METRICS = [
    "cut",
    "growth_same_leverage",
    "growth_same_volatility",
    "fewer_same_leverage",
    "worse_same_leverage",
]
_CHANCE = 0.05  # of as many cells at 5 % by luck alone
_WIDE_GROWTH = 0.5  # a year of log growth; fixed leverage that varies as much with its cell is noted
_HIGH_FEES = 0.01  # a year as a share of equity; higher ones are noted


class Methods(Question):
    """Methods of choosing leverage.

    Attributes
    ----------
    rules : mapping of name to rule
        Fixed ones are the baselines of the table.
    directions : mapping of name to direction
    margin_share : float
        Below 1 an account survives its liquidations, so that they can be counted.
    max_leverage : float
    shifts : int
        Circular shifts of each rule's leverages.
    appetites : list of float
        Mean leverages of the traders whom the advice is tested on; all their equity is margin.
    traders : list of str
        Rules that the traders try: those that read nothing of their account.
    horizon : duration
        How long a trader trades.
    """

    kind: Literal["methods"] = "methods"
    rules: Rules
    directions: dict[str, Direction] = DIRECTIONS
    margin_share: float = Field(default=0.1, gt=0.0, le=1.0)
    max_leverage: float = Field(default=40.0, gt=0.0)
    shifts: int = Field(default=300, ge=0)
    appetites: list[float] = Field(default=list(APPETITES))
    traders: list[str] = Field(default=[])
    horizon: Duration = "365d"

    @field_validator("traders")
    @classmethod
    def _traders_are_rules(cls, names: list[str], given: ValidationInfo) -> list[str]:
        check_names("not among the rules:", names, given.data.get("rules", {}))
        return names


@experiment(Methods)
def methods(config: Methods, work: Work) -> Findings:
    """Tables: ``methods``, for whom, advantages and limits; ``advice`` to traders, by rule; ``appetites``, by rule and
    appetite; ``traders``, by direction as well; ``comparison``, the counts behind; ``cells``, all of them.
    """
    markets, rules = config.market.each(), {name: rule.make() for name, rule in config.rules.items()}
    work.on(markets)
    played = joined([_cells(config, symbol, market, rules, work) for symbol, market in markets.items()])
    cells = corrected(played, seed=config.seed)
    counts = over_cells(cells)
    advice = _advice(config, markets, rules, work) if config.traders else {}
    found = comparison_of_methods(counts, cells, advice.get("traders"))
    tables = {"methods": found, **advice, "comparison": counts, "cells": cells}
    figures = {"dynamic": difference_figure(cells)}
    if advice:
        figures["majority"] = majority_figure(advice["appetites"])
    metrics = metrics_of(counts[_METRICS].astype(float).stack())
    can, cannot = of_methods(counts, advice.get("advice"))
    return Findings(
        _line(counts, advice.get("advice")), tables, figures, metrics, markets, conclusions=can, limits=cannot
    )


def _cells(config: Methods, symbol: str, market: MarketData, rules: dict[str, Any], work: Work) -> Cells:
    evidence = Evidence("", config.shifts, config.bootstrap)
    played = partial(
        run_cells, {symbol: market}, rules, directions=config.directions, rebalancing=("every_decision",),
        margin_shares=(config.margin_share,), evidence=evidence, max_leverage=config.max_leverage,
        progress=work.tell, **config.exchange.settings,
    )  # fmt: skip
    return Cells.part(work, f"cells-{symbol}", played)


def _advice(
    config: Methods, markets: dict[str, MarketData], rules: dict[str, Any], work: Work
) -> dict[str, pd.DataFrame]:
    """Whether traders are better off, overall and by group."""
    chosen = {name: rules[name] for name in config.traders}

    def played(market: MarketData) -> pd.DataFrame:
        return trader_outcomes(
            market, table_of(market, chosen, []), chosen, appetites=config.appetites, horizon=config.horizon,
            max_leverage=config.max_leverage, **config.exchange.settings,
        )  # fmt: skip

    better = partial(
        better_for_most, by_contract(work, "traders", markets, played), bootstrap=config.bootstrap
    )
    return {
        "advice": better(("rule",)),
        "appetites": better(("rule", "appetite")),
        "traders": better(("rule", "direction", "appetite")),
    }


def _line(counts: pd.DataFrame, advice: pd.DataFrame | None) -> str:
    total = counts.sum(numeric_only=True)
    shown = {
        name: f"{total[f'{name}_same_leverage']:g} ({total.get(f'{name}_same_leverage_family', 0.0):g})"
        for name in ("fewer", "more", "better", "worse")
    }
    parts = [
        f"{total.cells:g} cells of {len(counts)} rules against fixed leverage of the same mean (in parentheses after "
        f"correction for all tests): significantly fewer liquidations in {shown['fewer']}, significantly more in "
        f"{shown['more']}; significantly more growth in {shown['better']}, significantly less in {shown['worse']}"
    ]
    if advice is not None:
        verdicts = advice.verdict.value_counts().items()
        parts.append(
            "dynamic for most traders: "
            + ", ".join(f"{name} with {n} of {len(advice)} rules" for name, n in verdicts)
        )
    return "; ".join(parts)


def comparison_of_methods(
    counts: pd.DataFrame, cells: pd.DataFrame, traders: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Rules against fixed leverage of the same mean: ideal for, advantages, limits.

    Parameters
    ----------
    counts : DataFrame
        Of `over_cells`.
    cells : DataFrame
        Of `run_cells`, the same.
    traders : DataFrame, optional
        Of `better_for_most` by rule, direction and appetite.

    Returns
    -------
    DataFrame
        One row per rule, columns ``COLUMNS``.
    """
    rows = {}
    for name in levels(cells, "rule"):
        own: Any = cells.xs(name, level="rule")
        if name in counts.index:
            row = counts.loc[name]
            phrases = (_ideal(name, own, traders), _advantages(row), _limits(row, own))
        else:
            phrases = _of_fixed(own)
        rows[name] = dict(zip(COLUMNS, ("; ".join(parts) for parts in phrases), strict=True))
    return pd.DataFrame(rows).T.rename_axis("method")


def _of_fixed(own: pd.DataFrame) -> tuple[list[str], list[str], list[str]]:
    """Fixed leverage is the baseline: what it did, cell by cell."""
    worst, best = own.log_growth.min(), own.log_growth.max()
    ruined = int(own.ruined.astype(bool).sum())
    limits = [f"{own.liquidations.mean():.1f} liquidations a year, ruined in {ruined} of {len(own)} cells"]
    if best - worst > _WIDE_GROWTH:
        limits.append(f"growth between {worst:+.2f} and {best:+.2f} a year, by contract and side")
    advantages = [f"fees of {own.fees.mean():.1%} of equity a year, nothing to estimate"]
    return ["the baseline of the others"], advantages, limits


def _ideal(name: str, own: pd.DataFrame, traders: pd.DataFrame | None) -> list[str]:
    parts = []
    better = own[own.vs_same_leverage_low > 0.0].sort_values("vs_same_leverage", ascending=False)
    for key, cell in _remaining(better, "vs_same_leverage_p_family").head(2).iterrows():
        where = " ".join(part for part in as_tuple(key) if isinstance(part, str) and part != "every_decision")
        parts.append(
            f"{where}: {with_interval(cell, 'vs_same_leverage', '+.2f')} growth a year against fixed leverage"
        )
    if traders is not None and name in traders.index.get_level_values("rule"):
        own_traders = _remaining(traders.xs(name, level="rule"), "p_family")
        for key, row in own_traders[own_traders.verdict == MOST_ARE_BETTER].iterrows():
            who = " ".join(f"{part:g}x" if isinstance(part, float) else str(part) for part in as_tuple(key))
            parts.append(f"{who} traders: {with_interval(row, 'better', '.0%')} better off")
    return parts or ["nobody in these data: nowhere significantly better than fixed leverage"]


def _remaining(rows: pd.DataFrame, p_value: str) -> pd.DataFrame:
    """Rows that remain after correction for all tests, where it was made."""
    return rows[rows[p_value] <= LEVEL] if p_value in rows else rows


def _advantages(row: Any) -> list[str]:
    parts, n = [], int(row.cells)
    if row.fewer_same_leverage:
        parts.append(
            f"liquidated {row.cut:.0%} less often than fixed leverage of the same mean, significantly in "
            f"{_of(row, 'fewer_same_leverage')} cells"
        )
    if row.better_same_leverage:
        parts.append(f"grew faster than it, significantly in {_of(row, 'better_same_leverage')}")
    if row.better_same_volatility:
        count = _of(row, "better_same_volatility")
        parts.append(f"grew faster at the same volatility, significantly in {count}")
    for name, what in (("timed_liquidations", "fewer liquidations"), ("timed_growth", "more growth")):
        if row.get(name) and binom.sf(row[name] - 1, n, LEVEL) < _CHANCE:
            parts.append(
                f"its timing, not its mean, brought {what} in {_of(row, name)} against circular shifts at 5 %"
            )
    return parts or ["none that these data show"]


def _limits(row: Any, own: pd.DataFrame) -> list[str]:
    parts = [f"growth at the same mean leverage: median {row.growth_same_leverage:+.2f} a year"]
    if row.worse_same_leverage:
        parts[0] += f", significantly lower in {_of(row, 'worse_same_leverage')}"
    if row.more_same_leverage:
        parts.append(f"significantly more liquidations in {_of(row, 'more_same_leverage')}")
    if row.fees > _HIGH_FEES:
        parts.append(f"fees of {row.fees:.1%} of equity a year")
    if row.ruined:
        parts.append(
            f"ruined in {row.ruined:g} of {row.cells:g} (fixed leverage of the same mean in {row.fixed_ruined:g})"
        )
    return [*parts, f"largest drawdown {own.max_drawdown.max():.0%}"]


def _of(row: Mapping[str, Any], name: str) -> str:
    """A count of a rule's cells; in parentheses how many remain after correction for the cells of all rules."""
    family = f" ({row[f'{name}_family']:g} corrected)" if f"{name}_family" in row else ""
    return f"{row[name]:g} of {row['cells']:g}{family}"
