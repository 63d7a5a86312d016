"""Which way to choose leverage, and for whom: rules beside fixed twins, the usual table, and its advice tested."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gearing.questions.advice_to_traders import APPETITES, better_for_most, trader_outcomes
from gearing.questions.answer_figures import dynamic_figure, majority_figure
from gearing.questions.method_table import comparison_of_methods
from gearing.questions.question import Answer, kept_cells, made
from gearing.questions.rule_grid.counts import over_cells
from gearing.questions.rule_grid.play import Evidence, run_cells, table_of
from gearing.questions.rule_grid.results import Cells, joined, judged_together
from gearing.studies.experiment import Findings, experiment
from gearing.studies.fields import Duration
from gearing.studies.sections import Rules
from gearing.studies.work import Work

if TYPE_CHECKING:
    import pandas as pd

    from gearing.market import MarketData

DIRECTIONS = {"long": "long", "long/short": "signal:momentum_side_30d"}


class Methods(Answer):
    """Methods of choosing leverage.

    Attributes
    ----------
    rules : mapping of name to rule
        Fixed ones stand in the table as yardsticks.
    directions : mapping of name to direction
    margin_share : float
        Below 1 an account outlives its liquidations, so that they can be counted.
    max_leverage : float
    shifts : int
        Circular shifts of each rule's leverages.
    appetites : list of float
        Average leverages of the traders whom the advice is tested on; all their equity is margin.
    traders : list of str
        Rules that the traders try: those that read nothing of their account.
    horizon : duration
        How long a trader trades.
    """

    kind: Literal["methods"] = "methods"
    rules: Rules
    directions: dict[str, str] = Field(default_factory=lambda: dict(DIRECTIONS))
    margin_share: float = Field(default=0.1, gt=0.0, le=1.0)
    max_leverage: float = Field(default=40.0, gt=0.0)
    shifts: int = Field(default=300, ge=0)
    appetites: list[float] = Field(default_factory=lambda: list(APPETITES))
    traders: list[str] = Field(default_factory=list)
    horizon: Duration = "365d"


@experiment(Methods)
def methods(config: Methods, work: Work) -> Findings:
    """Tables: ``methods``, for whom, advantages and limits; ``judged``, the counts behind; ``advice``, by rule;
    ``traders``, by rule, direction and appetite; ``cells``, all of them.
    """

    markets, rules = config.markets(), made(config.rules)
    unknown = set(config.traders) - set(rules)
    if unknown:
        raise ValueError(f"traders name {', '.join(sorted(unknown))}, which the rules do not have.")
    work.on(markets)
    played = joined([_cells(config, symbol, market, rules, work) for symbol, market in markets.items()])
    cells = judged_together(played, seed=config.seed)
    judged = over_cells(cells)
    tables = {"judged": judged, "cells": cells}
    figures = {"dynamic": dynamic_figure(cells)}
    advice = None
    if config.traders:
        outcomes = _outcomes(config, markets, rules, work)
        advice = better_for_most(outcomes, ("rule", "direction", "appetite"), **config.chance)
        by_appetite = better_for_most(outcomes, ("rule", "appetite"), **config.chance)
        overall = better_for_most(outcomes, **config.chance)
        tables = {"advice": overall, **tables, "traders": advice, "appetites": by_appetite}
        figures["majority"] = majority_figure(by_appetite)
    tables = {"methods": comparison_of_methods(judged, cells, advice), **tables}
    line = _line(judged, tables.get("advice"))
    return Findings(line, tables, figures, _metrics(judged), markets)


def _cells(config: Methods, symbol: str, market: MarketData, rules: dict[str, Any], work: Work) -> Cells:
    evidence = Evidence("", config.shifts, config.replications, seed=config.seed)

    def played() -> Cells:
        return run_cells(
            {symbol: market}, rules, directions=config.directions, rebalancing=("every_decision",),
            margin_shares=(config.margin_share,), evidence=evidence, max_leverage=config.max_leverage,
            progress=work.tell, **config.simulation(),
        )  # fmt: skip

    return kept_cells(work, f"cells-{symbol}", played)


def _outcomes(
    config: Methods, markets: dict[str, MarketData], rules: dict[str, Any], work: Work
) -> pd.DataFrame:
    import pandas as pd

    chosen = {name: rules[name] for name in config.traders}

    def played(market: MarketData) -> pd.DataFrame:
        return trader_outcomes(
            market, table_of(market, chosen, []), chosen, appetites=config.appetites, horizon=config.horizon,
            max_leverage=config.max_leverage, **config.simulation(),
        )  # fmt: skip

    parts = [
        work.part(f"traders-{symbol}", partial(played, market)).assign(contract=symbol)
        for symbol, market in markets.items()
    ]
    return pd.concat(parts, ignore_index=True)


def _line(judged: pd.DataFrame, advice: pd.DataFrame | None) -> str:
    total = judged.sum(numeric_only=True)

    def told(name: str) -> str:
        return f"{total[f'{name}_same_leverage']:g} ({total[f'{name}_same_leverage_family']:g})"

    parts = [
        f"{total.cells:g} cells of {len(judged)} rules beside fixed leverage of the same average (in parentheses after "
        f"correction for all tests): surely fewer liquidations in {told('fewer')}, surely more in {told('more')}; "
        f"surely more growth in {told('better')}, surely less in {told('worse')}"
    ]
    if advice is not None:
        verdicts = advice.verdict.value_counts()
        parts.append(
            "dynamic for most traders: "
            + ", ".join(f"{name} with {count} of {len(advice)} rules" for name, count in verdicts.items())
        )
    return "; ".join(parts)


def _metrics(judged: pd.DataFrame) -> dict[str, float]:
    names = (
        "cut",
        "growth_same_leverage",
        "growth_same_volatility",
        "fewer_same_leverage",
        "worse_same_leverage",
    )
    told = {f"{rule}.{name}": float(row[name]) for rule, row in judged.T.to_dict().items() for name in names}
    return {name: x for name, x in told.items() if x == x}
