"""The study of books on a drawdown budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import pandas as pd

from gearing.market import MarketData
from gearing.studies.experiment import Findings, experiment
from gearing.studies.fields import as_time
from gearing.studies.portfolio.config import PortfolioConfig
from gearing.studies.portfolio.judging import Books, as_rows, book_rows
from gearing.studies.portfolio.play import Book, play_book, read_book
from gearing.studies.portfolio.saying import frontier_figure, sentences
from gearing.studies.portfolio.variants import ALL, dealt, largest_rises, most
from gearing.studies.work import Work

_METRICS = ("growth", "growth_equal_risk", "mdd", "realised_over_promised", "difference", "low", "high")


@experiment(PortfolioConfig)
def portfolio(config: PortfolioConfig, work: Work) -> Findings:
    """Tables: ``rows``, by variant, budget and policy, what was promised and realised; ``scales``, what was fitted."""
    whole = config.market.open()
    config.check_contracts(whole)
    markets = {whole.name or "market": whole} | other_markets(config)
    work.on(markets)
    played = {ALL: [_played(work, config, whole, [Book(name) for name in config.played])]}
    for name in config.variants:
        market = markets.get(name, whole)
        played[name] = [
            _played(work, config, market, part) for part in trials_of(config, name, market, played)
        ]
    table = pd.concat({name: book_rows(config, *parts) for name, parts in played.items()}, names=["variant"])
    metrics = {
        f"{'' if variant == ALL else f'{variant}.'}{policy}.{budget:g}.{name}": float(row[name])
        for (variant, budget, policy), row in table.iterrows()
        for name in _METRICS
    }
    can, cannot = sentences(config, table)
    return Findings(
        _line(config, table.loc[ALL]), {"rows": table, "scales": _scales(played)},
        {"frontier": frontier_figure(config, table, played[ALL][0])}, metrics, markets, _notes(config),
        main=config.main_name, json={"rows": as_rows(config, table)}, conclusions=can, limits=cannot,
    )  # fmt: skip


def other_markets(config: PortfolioConfig) -> dict[str, MarketData]:
    """The markets of variants with other data, by the name of the variant."""
    given = {name: one.missing_funding for name, one in config.variants.items() if one.missing_funding}
    return {
        name: config.market.model_copy(update={"missing_funding": funding}).open()
        for name, funding in given.items()
    }


def trials_of(
    config: PortfolioConfig, name: str, market: MarketData, played: Mapping[str, Sequence[Books]]
) -> list[list[Book]]:
    """Trials of a variant, a list for each of its parts."""
    variant, policies = config.variants[name], config.policies(name)
    if variant.left_out is not None:
        dealt(market, variant.left_out)
        return [[Book(policy, name, k) for policy in policies] for k in range(variant.left_out)]
    if variant.drop is None:
        return [[Book(policy, name) for policy in policies]]
    trials = []
    for policy in policies:
        if variant.by == "price":
            gone = largest_rises(market, as_time(config.test.from_), variant.drop)
        else:
            gained = next(iter(played[ALL][0][policy].values())).summary["contribution"]
            gone = most(gained, variant.drop)
        trials.append(Book(policy, name, without=",".join(gone)))
    return [trials]


def _played(work: Work, config: PortfolioConfig, market: MarketData, trials: list[Book]) -> Books:
    """The books of trials, by policy and budget."""
    results = work.run(trials, partial(play_book, config, market))
    return {one.trial.policy: read_book(one.folder, one.summary) for one in results}


def _scales(played: Mapping[str, Sequence[Books]]) -> pd.DataFrame:
    """Scale and promises of every variant, part, policy, budget and refit."""
    rows = []
    for variant, parts in played.items():
        for part, books in enumerate(parts):
            for policy, by_budget in books.items():
                for budget, book in by_budget.items():
                    fits = (
                        book.summary[name]
                        for name in ("since", "scales", "promised_growth", "promised_drawdown")
                    )
                    rows += [(variant, part, policy, float(budget), *row) for row in zip(*fits, strict=True)]
    names = ["variant", "part", "policy", "budget", "since", "scale", "promised_growth", "promised_drawdown"]
    return pd.DataFrame(rows, columns=names).set_index(names[:5])


def _line(config: PortfolioConfig, table: pd.DataFrame) -> str:
    parts = []
    for budget in config.budget:
        row = table.loc[(budget, config.main_name)]
        parts.append(
            f"budget {budget:.0%}: {row.growth:+.2f} log growth a year, mean largest drawdown of 365 days "
            f"{row.mdd:.1%} ({row.realised_over_promised:.2f} of the promise)"
        )
    return f"{config.name}, {config.main_name}: " + "; ".join(parts)


def _notes(config: PortfolioConfig) -> tuple[str, ...]:
    floor = "no floor" if config.floor is None else f"a floor at {config.floor:g} times the budget"
    return (
        f"Scales are fitted at {config.test.from_} and every {config.test.every} after it, on all days before, with "
        f"{floor}; promised_growth and promised drawdown are means over the refits.",
        "Equal risk: daily returns times one constant for each policy, chosen in hindsight so that the mean largest "
        "drawdown of 365 days is the budget. Intervals do not include the error of these constants.",
        "Contracts that are in the folder are those that somebody still records: survivors.",
    )
