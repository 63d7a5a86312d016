"""The study of books on a drawdown budget."""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd

from gearing.studies.experiment import Findings, experiment
from gearing.studies.portfolio.config import PortfolioConfig
from gearing.studies.portfolio.judging import as_rows, book_rows, frontier_figure
from gearing.studies.portfolio.play import Book, play_book, read_book
from gearing.studies.work import Work

_METRICS = ("growth", "growth_equal_risk", "mdd", "realised_over_promised", "difference", "low", "high")


@experiment(PortfolioConfig)
def portfolio(config: PortfolioConfig, work: Work) -> Findings:
    """Tables: ``rows``, by budget and policy, what was promised and realised; ``scales``, what was fitted when."""
    whole = config.market.open()
    config.check_contracts(whole)
    markets = {whole.name or "market": whole}
    work.on(markets)
    results = work.run([Book(name) for name in config.rules], partial(play_book, config, whole))
    played = {one.trial.policy: read_book(one.folder, one.summary) for one in results}
    table = book_rows(config, played)
    metrics = {
        f"{policy}.{budget:g}.{name}": float(row[name])
        for (budget, policy), row in table.iterrows()
        for name in _METRICS
    }
    can, cannot = _sentences(config, table)
    return Findings(
        _line(config, table), {"rows": table, "scales": _scales(played)},
        {"frontier": frontier_figure(table)}, metrics, markets, _notes(config), main=config.main_name,
        json={"rows": as_rows(config, table)}, conclusions=can, limits=cannot,
    )  # fmt: skip


def _scales(played: Any) -> pd.DataFrame:
    """Scale and promises of every policy, budget and refit."""
    rows = []
    for policy, books in played.items():
        for budget, book in books.items():
            parts = (
                book.summary[name] for name in ("since", "scales", "promised_growth", "promised_drawdown")
            )
            rows += [(policy, float(budget), *row) for row in zip(*parts, strict=True)]
    names = ["policy", "budget", "since", "scale", "promised_growth", "promised_drawdown"]
    return pd.DataFrame(rows, columns=names).set_index(names[:3])


def _line(config: PortfolioConfig, table: pd.DataFrame) -> str:
    parts = []
    for budget in config.budget:
        row = table.loc[(budget, config.main_name)]
        parts.append(
            f"budget {budget:.0%}: {row.growth:+.2f} log growth a year, mean largest drawdown of 365 days "
            f"{row.mdd:.1%} ({row.realised_over_promised:.2f} of the promise)"
        )
    return f"{config.name}, {config.main_name}: " + "; ".join(parts)


def _sentences(config: PortfolioConfig, table: pd.DataFrame) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What can be concluded of the main policy against the base, and what cannot."""
    if config.main_name == config.base_name:
        return (), ()
    can, cannot = [], []
    for budget in config.budget:
        row = table.loc[(budget, config.main_name)]
        found = f"{row.difference:+.3f} [{row.low:+.3f}, {row.high:+.3f}] a year at equal realised risk"
        where = f"At a budget of {budget:.0%} {config.main_name} against {config.base_name}: {found}"
        if row.low > 0.0 or row.high < 0.0:
            can.append(f"{where}; the interval excludes zero.")
        else:
            cannot.append(f"{where}; which of the two grows faster is open.")
        if row.not_inferior:
            can.append(f"{where}; not more than {config.margin:g} a year below it.")
    return tuple(can), tuple(cannot)


def _notes(config: PortfolioConfig) -> tuple[str, ...]:
    floor = "no floor" if config.floor is None else f"a floor at {config.floor:g} times the budget"
    return (
        f"Scales are fitted at {config.test.from_} and every {config.test.every} after it, on all days before, with "
        f"{floor}; promised_growth and promised drawdown are means over the refits.",
        "Equal risk: daily returns times one constant for each policy, chosen in hindsight so that the mean largest "
        "drawdown of 365 days is the budget. Intervals do not include the error of these constants.",
        "Contracts that are in the folder are those that somebody still records: survivors.",
    )
