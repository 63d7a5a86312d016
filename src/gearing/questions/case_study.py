"""The article's claim, settled: rules in every cell of direction, rebalancing and margin share, and how often they end.

`gearing.questions.rule_grid.play` does the work; this reads the experiment and sets the findings beside an independent
reference.
"""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gearing.evaluation.risk.safest_leverage import risk_by_leverage
from gearing.evaluation.statistics.multiple_testing import LEVEL
from gearing.questions.question import kept_cells
from gearing.questions.reference_ablation import LIQUIDATED, RUINED
from gearing.questions.rule_grid.counts import over_cells
from gearing.questions.rule_grid.play import DIRECTIONS, REBALANCING, Evidence, run_cells
from gearing.questions.rule_grid.results import Cells, joined, judged_together
from gearing.simulation.config import Slippage
from gearing.studies.experiment import ExperimentConfig, Findings, experiment
from gearing.studies.fields import Duration
from gearing.studies.sections import Exchange, Market, Rules
from gearing.studies.work import Work

if TYPE_CHECKING:
    import pandas as pd

    from gearing.market import MarketData

CLAIMED = "volatility_weighted"  # the rule of the claim: 3x in high, 8x in low volatility


class CaseStudy(ExperimentConfig):
    """Settings of the case study.

    Attributes
    ----------
    market : Market
        Its contracts are studied one by one.
    rules : mapping of name to rule
    directions : mapping of name to direction
    rebalancing, margin_shares : list
        Every combination is a cell.
    baseline : str
        The rule whose Sharpe ratio the others are compared with.
    held : float
        Leverage of the long that is opened at a daily close and held.
    shifts, replications, seed
        Of circular shifts and bootstraps.
    """

    kind: Literal["case_study"] = "case_study"
    market: Market
    rules: Rules
    directions: dict[str, str] = Field(default_factory=lambda: dict(DIRECTIONS))
    rebalancing: list[str] = Field(default_factory=lambda: list(REBALANCING))
    margin_shares: list[float] = Field(default_factory=lambda: [1.0, 0.1])
    decision_interval: Duration = "24h"
    max_leverage: float = 20.0
    exchange: Exchange = Exchange()
    baseline: str = "fixed_10x"
    held: float = 10.0
    shifts: int = Field(default=300, ge=0)
    replications: int = Field(default=1000, ge=100)
    seed: int = 0


@experiment(CaseStudy)
def run_case_study(config: CaseStudy, work: Work) -> Findings:
    """Play every cell and set it beside the reference.

    Tables: ``claim``, Sharpe of each rule over the baseline's with the smallest margin share; ``ruined``, cells in
    which a rule was ruined with the largest; ``judged``, rules beside their fixed twins and shifts; ``held``, how
    often a held long is liquidated; ``cells``, all of them.
    """

    markets = {
        symbol: config.market.model_copy(update={"contracts": [symbol]}).open()
        for symbol in config.market.symbols
    }
    work.on(markets)
    held = work.part("held", lambda: _held(markets, config))
    played = joined([_cells(symbol, market, config, work) for symbol, market in markets.items()])
    cells = judged_together(played, apart=("margin_share",), seed=config.seed)
    found, judged = claim(cells), over_cells(_smallest_share(cells))
    tables = {
        "claim": found, "ruined": ruined_cells(cells), "judged": judged, "held": held, "cells": cells,
    }  # fmt: skip
    return Findings(_line(config, found), tables, metrics=_metrics(found), markets=markets)


def _cells(symbol: str, market: MarketData, config: CaseStudy, work: Work) -> Cells:
    """All cells of a contract, kept direction by direction."""
    rules = {name: rule.make() for name, rule in config.rules.items()}
    settings = config.exchange.model_dump(exclude={"slippage"})
    settings["slippage"] = Slippage(**config.exchange.slippage.model_dump())
    evidence = Evidence(config.baseline, config.shifts, config.replications, seed=config.seed)

    def played(share: float, way: str, direction: str) -> Cells:
        return run_cells(
            {symbol: market}, rules, directions={way: direction}, rebalancing=config.rebalancing,
            margin_shares=[share], progress=work.tell, max_leverage=config.max_leverage, evidence=evidence,
            decision_interval=config.decision_interval, **settings,
        )  # fmt: skip

    parts = []
    for share, (way, direction) in product(config.margin_shares, config.directions.items()):
        name = f"{symbol}-{share:g}-{way.replace('/', '-')}"
        parts.append(kept_cells(work, name, partial(played, share, way, direction)))
    return joined(parts)


def _line(config: CaseStudy, found: pd.DataFrame) -> str:
    """The rule of the claim against the baseline, per contract."""
    parts = [
        f"{row['contract']}: {row['least']:.2f} to {row['largest']:.2f} times the Sharpe ratio of "
        f"{config.baseline} over {row['cells']} cells (median {row['median']:.2f}), "
        f"surely better in {row['surely_better']}, surely worse in {row['surely_worse']} "
        f"({row['better_together']} and {row['worse_together']} after correction for all tests)"
        for row in found.reset_index().to_dict("records")
        if row["rule"] == CLAIMED
    ]
    return f"{config.name}: {CLAIMED}, " + (
        "; ".join(parts) or "no cell in which both it and the baseline lived"
    )


def _metrics(found: pd.DataFrame) -> dict[str, float]:
    return {
        f"{row['contract']}.{row['rule']}.{name}": float(row[name])
        for row in found.reset_index().to_dict("records")
        for name in ("least", "median", "largest", "surely_better", "surely_worse")
    }


def ruined_cells(cells: pd.DataFrame) -> pd.DataFrame:
    """With all equity as margin: ruined cells of each rule and contract, of how many, and the reference's for BTC."""
    import pandas as pd

    whole = cells.xs(cells.index.get_level_values("margin_share").max(), level="margin_share")
    counts = whole.groupby(["contract", "rule"], sort=False).ruined.agg(["sum", "size"])
    counts.columns = pd.Index(["ruined", "cells"])
    counts["reference_btc"] = [RUINED.get(rule) for _, rule in counts.index]
    return counts


def claim(cells: pd.DataFrame) -> pd.DataFrame:
    """With the smallest margin share: each rule's Sharpe ratio over the baseline's, over the cells of a contract.

    ``surely_...`` counts intervals beside zero one by one, ``..._together`` those that stand after correction for all.
    """
    import pandas as pd

    part = _smallest_share(cells)
    part = part[part.sharpe_gain.notna()]
    part = part.assign(surely=(part.sharpe_low > 0.0) * 1 - (part.sharpe_high < 0.0) * 1)
    known = part.get("sharpe_p_family")
    together = part.surely if known is None else part.surely.where(known <= LEVEL, 0)
    groups = part.assign(together=together).groupby(["contract", "rule"], sort=False)
    return pd.DataFrame(
        {
            "cells": groups.size(),
            "least": groups.sharpe_ratio.min(),
            "median": groups.sharpe_ratio.median(),
            "largest": groups.sharpe_ratio.max(),
            "surely_better": groups.surely.agg(lambda found: int((found > 0).sum())),
            "surely_worse": groups.surely.agg(lambda found: int((found < 0).sum())),
            "better_together": groups.together.agg(lambda found: int((found > 0).sum())),
            "worse_together": groups.together.agg(lambda found: int((found < 0).sum())),
        }
    )


def _smallest_share(cells: pd.DataFrame) -> pd.DataFrame:
    found: Any = cells.xs(cells.index.get_level_values("margin_share").min(), level="margin_share")
    return found


def _held(markets: dict[str, Any], config: CaseStudy) -> pd.DataFrame:
    import pandas as pd

    horizons = tuple(LIQUIDATED)
    parts = [
        risk_by_leverage(market, (config.held,), horizons, seed=config.seed)
        .droplevel("leverage")
        .assign(contract=symbol, reference_btc_10x=list(LIQUIDATED.values()))
        for symbol, market in markets.items()
    ]
    return pd.concat(parts).reset_index().set_index(["contract", "horizon"])
