"""Does 3x in high and 8x in low volatility improve the Sharpe ratio of fixed 10x by 20 %?

`gearing.questions.rule_grid` plays the rules in every cell of direction, rebalancing and margin share; this reads the
experiment, counts the cells and compares them with an independent reference.
"""

from functools import partial
from itertools import product
from typing import Any, Literal

import pandas as pd
from pydantic import Field, ValidationInfo, field_validator

from gearing.evaluation.risk.past_starts import risk_by_leverage
from gearing.evaluation.statistics.multiple_testing import LEVEL
from gearing.market.data import MarketData
from gearing.names import check_names
from gearing.questions.conclusions import of_case_study
from gearing.questions.question import Question, by_contract, fitting, metrics_of
from gearing.questions.reference_ablation import LIQUIDATED, RUINED
from gearing.questions.rule_grid.cells import Cells, corrected, joined, over_cells
from gearing.questions.rule_grid.play import DIRECTIONS, REBALANCING, Evidence, run_cells
from gearing.studies.experiment import Findings, experiment
from gearing.studies.fields import Direction, Duration, Rebalance
from gearing.studies.rules_and_agents import Rules
from gearing.studies.work import Work

CLAIMED = "volatility_weighted"  # the rule of the claim: 3x in high, 8x in low volatility


class CaseStudy(Question):
    """Settings of the case study.

    Attributes
    ----------
    rules : mapping of name to rule
    directions : mapping of name to direction
    rebalancing, margin_shares : list
        Every combination is a cell.
    baseline : str
        The rule whose Sharpe ratio the others are compared with.
    held : float
        Leverage of the long that is opened at a daily close and held.
    shifts : int
        Circular shifts of each rule's leverages.
    """

    kind: Literal["case_study"] = "case_study"
    rules: Rules
    directions: dict[str, Direction] = DIRECTIONS
    rebalancing: list[Rebalance] = Field(default=list(REBALANCING))
    margin_shares: list[float] = Field(default=[1.0, 0.1])
    decision_interval: Duration = "24h"
    max_leverage: float = 20.0
    baseline: str = "fixed_10x"
    held: float = 10.0
    shifts: int = Field(default=300, ge=0)
    replications: int = Field(default=1000, ge=100)

    @field_validator("baseline")
    @classmethod
    def _baseline_exists(cls, name: str, given: ValidationInfo) -> str:
        if "rules" in given.data:
            check_names("not among the rules:", [name], given.data["rules"])
        return name


@experiment(CaseStudy)
def case_study(config: CaseStudy, work: Work) -> Findings:
    """Play every cell and compare with the reference.

    Tables: ``claim``, Sharpe of each rule over the baseline's with the smallest margin share; ``ruined``, cells in
    which a rule was ruined with the largest; ``comparison``, rules against matched fixed leverage and shifts; ``held``,
    how often a held long is liquidated; ``cells``, all of them.
    """
    markets = config.market.each()
    work.on(markets)
    held = by_contract(work, "held", markets, partial(_held, config))
    played = joined([_cells(symbol, market, config, work) for symbol, market in markets.items()])
    cells = corrected(played, apart=("margin_share",), seed=config.seed)
    found = claim(cells)
    tables = {
        "claim": found, "ruined": ruined_cells(cells), "comparison": over_cells(_smallest_share(cells)), "held": held,
        "cells": cells,
    }  # fmt: skip
    shown = ["least", "median", "largest", "significantly_better", "significantly_worse"]
    metrics = metrics_of(found[shown].astype(float).stack())
    can, cannot = of_case_study(found, config.baseline)
    return Findings(
        _line(config, found), tables, metrics=metrics, markets=markets, conclusions=can, limits=cannot
    )


def _cells(symbol: str, market: MarketData, config: CaseStudy, work: Work) -> Cells:
    """All cells of a contract, played direction by direction."""
    rules = {name: rule.make() for name, rule in config.rules.items()}
    evidence = Evidence(config.baseline, config.shifts, config.bootstrap)
    played = partial(
        run_cells, {symbol: market}, rules, rebalancing=config.rebalancing, progress=work.tell, evidence=evidence,
        max_leverage=config.max_leverage, decision_interval=config.decision_interval, **config.exchange.settings,
    )  # fmt: skip
    parts = []
    for share, (way, direction) in product(config.margin_shares, config.directions.items()):
        name = f"{symbol}-{share:g}-{way.replace('/', '-')}"
        one = partial(played, directions={way: direction}, margin_shares=[share])
        parts.append(Cells.part(work, name, one))
    return joined(parts)


def _held(config: CaseStudy, market: MarketData) -> pd.DataFrame:
    """How often a held long was liquidated, by horizon; of those that fit into the history."""
    horizons = fitting(LIQUIDATED, market)
    found = risk_by_leverage(market, (config.held,), tuple(horizons), seed=config.seed)
    return found.droplevel("leverage").assign(reference_btc_10x=[LIQUIDATED[h] for h in horizons])


def _line(config: CaseStudy, found: pd.DataFrame) -> str:
    """The rule of the claim against the baseline, per contract."""
    parts = [
        f"{row['contract']}: {row['least']:.2f} to {row['largest']:.2f} times the Sharpe ratio of "
        f"{config.baseline} over {row['cells']} cells (median {row['median']:.2f}), "
        f"significantly better in {row['significantly_better']}, significantly worse in {row['significantly_worse']} "
        f"({row['better_corrected']} and {row['worse_corrected']} after correction for all tests)"
        for row in found.reset_index().to_dict("records")
        if row["rule"] == CLAIMED
    ]
    none = "no cell in which neither it nor the baseline was ruined"
    return f"{config.name}: {CLAIMED}, " + ("; ".join(parts) or none)


def ruined_cells(cells: pd.DataFrame) -> pd.DataFrame:
    """With all equity as margin: ruined cells of each rule and contract, of how many, and the reference's for BTC."""
    whole = cells.xs(cells.index.get_level_values("margin_share").max(), level="margin_share")
    counts = whole.groupby(["contract", "rule"], sort=False).ruined.agg(["sum", "size"])
    counts.columns = pd.Index(["ruined", "cells"])
    counts["reference_btc"] = [RUINED.get(rule) for _, rule in counts.index]
    return counts


def claim(cells: pd.DataFrame) -> pd.DataFrame:
    """With the smallest margin share: each rule's Sharpe ratio over the baseline's, over the cells of a contract.

    ``significantly_...`` counts intervals that exclude zero one by one, ``..._corrected`` those that remain after
    correction for all tests.
    """
    part = _smallest_share(cells)
    part = part[part.sharpe_gain.notna()]
    remains = part["sharpe_p_family"] <= LEVEL if "sharpe_p_family" in part else True
    better, worse = part.sharpe_low > 0.0, part.sharpe_high < 0.0
    counted = part.assign(
        better=better, worse=worse, better_corrected=better & remains, worse_corrected=worse & remains
    )
    groups = counted.groupby(["contract", "rule"], sort=False)
    return pd.DataFrame(
        {
            "cells": groups.size(),
            "least": groups.sharpe_ratio.min(),
            "median": groups.sharpe_ratio.median(),
            "largest": groups.sharpe_ratio.max(),
            "significantly_better": groups.better.sum(),
            "significantly_worse": groups.worse.sum(),
            "better_corrected": groups.better_corrected.sum(),
            "worse_corrected": groups.worse_corrected.sum(),
        }
    )


def _smallest_share(cells: pd.DataFrame) -> Any:
    return cells.xs(cells.index.get_level_values("margin_share").min(), level="margin_share")
