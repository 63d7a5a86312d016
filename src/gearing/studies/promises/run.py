"""Promises walking forward: distances of every rule, then tables, figures and a line that a trader understands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import pandas as pd

from gearing.market import MarketData
from gearing.studies.experiment import Findings, experiment
from gearing.studies.promises.books import book_table
from gearing.studies.promises.chance import chance_table
from gearing.studies.promises.config import EVENTS, MAIN, OPPONENT, PromisesConfig
from gearing.studies.promises.distances import stated
from gearing.studies.promises.figures import budget_figure, leverage_figure, reliability_figure
from gearing.studies.promises.headline import headline
from gearing.studies.promises.tables import (
    POOLED,
    promise_table,
    score_table,
    sharpness_table,
    summary_table,
    year_table,
)
from gearing.studies.work import Work


@experiment(PromisesConfig)
def promises(config: PromisesConfig, work: Work) -> Findings:
    """Tables: ``summary``; ``promises``, every cell; ``years``; ``sharpness`` and ``scores``, law over opponents."""
    markets = config.market.markets()
    config.market.check_score_from(config.score_from, markets)
    pools = pools_of(config, markets)
    work.on(markets)
    made = {
        rule: work.part(f"stated-{rule}", partial(stated, config, rule, markets, pools))
        for rule in config.stating
    }
    check_something_scored(config, made[MAIN])
    tables = _tables(config, made, markets)
    found = tables["promises"]
    shown = found[(found.contract == POOLED) & (found.event == EVENTS[0])]
    unseen = all(symbol not in pool for symbol, pool in pools.items())
    return Findings(
        trader_line(found, unseen), {"summary": tables["summary"], **tables}, _figures(config, tables, made[MAIN]),
        _metrics(shown), {symbol: markets[symbol] for symbol in pools}, notes=_notes(config, made[MAIN], pools),
        json={"promises": _plain(found), **{name: _plain(one) for name, one in tables.items() if one is not found}},
        main=MAIN, headline=headline(config, shown, made[MAIN]),
    )  # fmt: skip


def check_something_scored(config: PromisesConfig, main: pd.DataFrame) -> None:
    """Refuse a run in which the law promised nothing whose outcome is known."""
    if main.empty:
        until = f" before {config.score_to}" if config.score_to else ""
        raise ValueError(
            f"no start from {config.score_from}{until} has both a promise and its outcome: the law needs some "
            "months of the pool before a start, and the bars of a horizon after it. Begin to score earlier, or give "
            "pool contracts with a longer history."
        )


def pools_of(config: PromisesConfig, markets: Iterable[str]) -> dict[str, list[str]]:
    """Pool of each scored contract among those with bars: all others of the pool, or its own past without others."""
    known = set(markets)
    return {
        symbol: [name for name in config.market.pool_of(symbol) if name in known] or [symbol]
        for symbol in config.market.scored
    }


def _tables(
    config: PromisesConfig, made: Mapping[str, pd.DataFrame], markets: Mapping[str, MarketData]
) -> dict[str, pd.DataFrame]:
    rates = {
        symbol: market.contracts[0].schedules[-1].tiers[0].rate
        for symbol, market in markets.items()
        if symbol in config.market.scored
    }
    every = pd.concat(
        [promise_table(config, rule, one, rates) for rule, one in made.items()], ignore_index=True
    )
    years = pd.concat([year_table(config, rule, one) for rule, one in made.items()], ignore_index=True)
    others = {rule: one for rule, one in made.items() if rule != MAIN}
    books = book_table(config, made[MAIN], markets, rates)
    summary = summary_table(every, years)
    if made[MAIN].contract.nunique() > 1:
        summary = summary.join(chance_table(config, made, every))
    tables = {"summary": summary, "promises": every, "years": years}
    for name, make in (("sharpness", sharpness_table), ("scores", score_table)):
        parts = [make(config, rule, one, made[MAIN]) for rule, one in others.items()]
        if parts:
            tables[name] = pd.concat(parts, ignore_index=True)
    return tables if books.empty else {**tables, "books": books}


def trader_line(found: pd.DataFrame, unseen: bool = True) -> str:
    """LEVERAGE keeps liquidation within a week below 5 %, and what came of it.

    Parameters
    ----------
    unseen : bool
        Whether no scored contract was fitted on.
    """
    rows = found[
        (found.contract == POOLED) & (found.rule == MAIN) & (found.event == EVENTS[0]) & found.refused.isna()
    ]
    wanted = rows[(rows.horizon == "7d") & (rows.budget == 0.05) & (rows.side == "long")]
    row = (wanted if len(wanted) else rows).iloc[0]
    where = "contracts that the law was not fitted on" if unseen else "later days than the law was fitted on"
    return (
        f"{row.mean_leverage:.1f}x ({row.side}, mean) keeps liquidation within {row.horizon} below {row.budget:.3g}; "
        f"on {where} this promise came out at {row.realised:.1%} [{row.low:.1%}, {row.high:.1%}], {row.independent} "
        "independent events"
    )


def _figures(
    config: PromisesConfig, tables: Mapping[str, pd.DataFrame], main: pd.DataFrame
) -> dict[str, Any]:
    touches = any(config.sizes_of(horizon) for horizon in config.horizons)
    return {
        "budgets": budget_figure(
            tables["promises"], [MAIN, *([OPPONENT] if OPPONENT in config.opponents else [])]
        ),
        **({"reliability": reliability_figure(config, main)} if touches else {}),
        "leverage": leverage_figure(config, main, tables["promises"]),
    }


def _metrics(shown: pd.DataFrame) -> dict[str, float]:
    rows = shown[shown.refused.isna()]
    return {
        f"{row.rule}/{row.horizon}/{row.side}/{row.budget:g}": float(row.realised / row.budget)
        for row in rows.itertuples()
        if row.realised == row.realised
    }


def _notes(config: PromisesConfig, main: pd.DataFrame, pools: Mapping[str, list[str]]) -> tuple[str, ...]:
    silent = [symbol for symbol in pools if symbol not in set(main.contract)]
    notes = [f"{symbol}: no start since {config.score_from} has a past to promise from" for symbol in silent]
    own = [symbol for symbol, pool in pools.items() if pool == [symbol]]
    notes += [f"{symbol}: fitted on its own past, for want of other contracts" for symbol in own]
    return tuple(notes)


def _plain(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows with their index as fields; NaN is null."""
    rows = (table if table.index.names == [None] else table.reset_index()).to_dict("records")
    return [
        {
            str(key): None if isinstance(value, float) and value != value else value
            for key, value in row.items()
        }
        for row in rows
    ]
