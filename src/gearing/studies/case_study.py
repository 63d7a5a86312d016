"""The article's claim, settled: rules in every cell of direction, rebalancing and margin share, and how often they end.

`gearing.evaluation.cells` does the work; this reads the experiment and sets the findings beside an independent
reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field

from gearing.evaluation.cells import DIRECTIONS, REBALANCING, Evidence, run_cells
from gearing.evaluation.safest import risk_by_leverage
from gearing.policies import make_rule
from gearing.studies.config import Exchange, Market, Rule, _by_name
from gearing.studies.fields import Duration, Section

if TYPE_CHECKING:
    import pandas as pd

# An independent run: 5 bp fees, real funding, maintenance 0.5 %, hourly last-price extremes, 2020-01 to 2026-05.
REFERENCE_RUINED = {"fixed_3x": 5, "fixed_5x": 8, "fixed_10x": 9, "fixed_20x": 9, "volatility_weighted": 8}
REFERENCE_LIQUIDATED = {"1d": 0.02, "7d": 0.19, "30d": 0.49, "90d": 0.68, "365d": 0.75}
REFERENCE_RATIO = (0.85, 2.29)


class CaseStudy(Section):
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

    name: str = "case_study"
    question: str = ""
    market: Market
    rules: Annotated[dict[str, Rule], BeforeValidator(_by_name)]
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
    output: str = "runs"


@dataclass(frozen=True, eq=False)
class CaseStudyResult:
    """What was found.

    Attributes
    ----------
    cells : DataFrame
        One row per contract, margin share, direction, rebalancing and rule.
    held : DataFrame
        How often a held long is liquidated, by contract and horizon, beside the reference.
    ruined : DataFrame
        Cells in which a rule was ruined with all equity as margin, beside the reference.
    claim : DataFrame
        Sharpe of each rule over the baseline's with part of the equity as margin: least and largest ratio, and in how
        many cells the interval of the difference lies above or below zero.
    """

    config: CaseStudy
    cells: pd.DataFrame
    held: pd.DataFrame
    ruined: pd.DataFrame
    claim: pd.DataFrame
    folder: Path


def load_case_study(path: str | Path, overrides: Iterable[str] = ()) -> CaseStudy:
    """Read the experiment; overrides are ``key=value`` as for any study."""
    from omegaconf import OmegaConf

    text = Path(path).read_text(encoding="utf-8")
    merged = OmegaConf.merge(OmegaConf.create(text), OmegaConf.from_dotlist(list(overrides)))
    values = OmegaConf.to_container(merged, resolve=True)
    assert isinstance(values, dict)
    if text.startswith("#"):
        values.setdefault("question", text.partition("\n")[0].lstrip("# "))
    return CaseStudy.model_validate(values)


def run_case_study(
    experiment: str | Path | CaseStudy,
    overrides: Iterable[str] = (),
    *,
    progress: Callable[[str], None] | None = None,
) -> CaseStudyResult:
    """Run the case study and write its tables as CSV beside the settings that made them."""
    config = experiment if isinstance(experiment, CaseStudy) else load_case_study(experiment, overrides)
    markets = {
        symbol: config.market.model_copy(update={"contracts": [symbol]}).open()
        for symbol in config.market.symbols
    }
    rules = {name: make_rule({"rule": rule.rule, **rule.settings}) for name, rule in config.rules.items()}
    settings = config.exchange.model_dump(exclude={"slippage"})
    settings["slippage"] = _slippage(config)
    cells = run_cells(
        markets, rules, directions=config.directions, rebalancing=config.rebalancing,
        margin_shares=config.margin_shares, progress=progress, max_leverage=config.max_leverage,
        evidence=Evidence(config.baseline, config.shifts, config.replications, seed=config.seed),
        decision_interval=config.decision_interval, **settings,
    )  # fmt: skip
    held = _held(markets, config)
    folder = Path(config.output) / config.name
    done = CaseStudyResult(config, cells, held, ruined_cells(cells), claim(cells), folder)
    _write(done, markets)
    return done


def ruined_cells(cells: pd.DataFrame) -> pd.DataFrame:
    """With all equity as margin: ruined cells of each rule and contract, of how many, and the reference's for BTC."""
    import pandas as pd

    whole = cells.xs(cells.index.get_level_values("margin_share").max(), level="margin_share")
    counts = whole.groupby(["contract", "rule"], sort=False).ruined.agg(["sum", "size"])
    counts.columns = pd.Index(["ruined", "cells"])
    counts["reference_btc"] = [REFERENCE_RUINED.get(rule) for _, rule in counts.index]
    return counts


def claim(cells: pd.DataFrame) -> pd.DataFrame:
    """With the smallest margin share: each rule's Sharpe ratio over the baseline's, over the cells of a contract."""
    import pandas as pd

    part = cells.xs(cells.index.get_level_values("margin_share").min(), level="margin_share")
    groups = part[part.sharpe_gain.notna()].groupby(["contract", "rule"], sort=False)
    return pd.DataFrame(
        {
            "cells": groups.size(),
            "least": groups.sharpe_ratio.min(),
            "median": groups.sharpe_ratio.median(),
            "largest": groups.sharpe_ratio.max(),
            "surely_better": groups.sharpe_low.agg(lambda low: int((low > 0.0).sum())),
            "surely_worse": groups.sharpe_high.agg(lambda high: int((high < 0.0).sum())),
        }
    )


def _held(markets: dict[str, Any], config: CaseStudy) -> pd.DataFrame:
    import pandas as pd

    horizons = tuple(REFERENCE_LIQUIDATED)
    parts = [
        risk_by_leverage(market, (config.held,), horizons, seed=config.seed)
        .droplevel("leverage")
        .assign(contract=symbol, reference_btc_10x=list(REFERENCE_LIQUIDATED.values()))
        for symbol, market in markets.items()
    ]
    return pd.concat(parts).reset_index().set_index(["contract", "horizon"])


def _slippage(config: CaseStudy) -> Any:
    from gearing.simulation.config import Slippage

    return Slippage(**config.exchange.slippage.model_dump())


def _write(done: CaseStudyResult, markets: dict[str, Any]) -> None:
    import yaml

    done.folder.mkdir(parents=True, exist_ok=True)
    for name in ("cells", "held", "ruined", "claim"):
        getattr(done, name).to_csv(done.folder / f"{name}.csv")
    told = done.config.model_dump(mode="json", by_alias=True)
    told_yaml = yaml.safe_dump(told, sort_keys=False, allow_unicode=True)
    (done.folder / "experiment.yaml").write_text(told_yaml, encoding="utf-8")
    notes = [f"{market!r}\n" + "".join(f"  {note}\n" for note in market.notes) for market in markets.values()]
    (done.folder / "data.txt").write_text("".join(notes), encoding="utf-8")
