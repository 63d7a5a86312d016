"""What books promised and what they did, and how they compare at equal realised risk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from gearing.evaluation.metrics import DAYS_PER_YEAR
from gearing.evaluation.risk.drawdown_budget import WINDOW, equal_risk_growth, window_drawdowns
from gearing.evaluation.statistics.inference import growth_difference
from gearing.evaluation.statistics.multiple_testing import family_of_means
from gearing.studies.portfolio.config import PortfolioConfig
from gearing.studies.portfolio.play import Played

DEPTHS = (0.10, 0.20, 0.30)  # drawdowns of a window whose frequency is reported
CHOSEN = "chosen_by_the_past"  # the policy of the best promised growth, refit by refit
_TAIL = 0.05  # of days, for the conditional drawdown at risk


Books = Mapping[str, Mapping[str, Played]]  # by policy and budget


def book_rows(config: PortfolioConfig, *parts: Books) -> pd.DataFrame:
    """A row for each budget and policy, indexed by both.

    Parameters
    ----------
    *parts : mapping of policy to mapping of budget
        Several are the parts of a variant that plays groups of contracts: rows are means over them.
    """
    tables = []
    for budget in config.budget:
        books = [at_budget(part, budget) for part in parts]
        measures = [
            pd.DataFrame({name: measured(book, budget) for name, book in one.items()}).T for one in books
        ]
        rows = measures[0] if len(measures) == 1 else mean_rows(measures)
        tables.append(rows.join(differences(config, books, budget)))
    return pd.concat(tables, keys=config.budget, names=["budget", "policy"])


def at_budget(played: Books, budget: float) -> dict[str, Played]:
    """Every policy at one budget, and what the past would have chosen among them."""
    books = {policy: by_budget[f"{budget:g}"] for policy, by_budget in played.items()}
    if len(books) > 1:
        books[CHOSEN] = chosen_by_the_past(books)
    return books


def mean_rows(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Means over tables of the same rows; what was ruined in one is ruined."""
    mean = sum(table.drop(columns="ruined").astype(float) for table in tables) / len(tables)
    mean["ruined"] = np.logical_or.reduce([(table["ruined"] == True) for table in tables])  # noqa: E712  NaN is no ruin
    return mean[list(tables[0].columns)]


def chosen_by_the_past(books: Mapping[str, Played]) -> Played:
    """Returns of the policy that promised most growth at every refit; changes from one to another cost nothing."""
    first = next(iter(books.values()))
    since = np.array(first.summary["since"], "datetime64[ms]")
    best = [max(books, key=lambda name: books[name].summary["promised_growth"][k]) for k in range(since.size)]
    place = np.searchsorted(since, first.days, side="left") - 1  # a day belongs to the refit before its end
    returns = np.array([books[best[max(k, 0)]].returns[i] for i, k in enumerate(place)])
    promised = [books[name].summary["promised_growth"][k] for k, name in enumerate(best)]
    drawdowns = [books[name].summary["promised_drawdown"][k] for k, name in enumerate(best)]
    summary = {
        "since": first.summary["since"], "scales": [], "promised_growth": promised,
        "promised_drawdown": drawdowns, "liquidations": 0, "ruined": False,
    }  # fmt: skip
    return Played(first.days, returns, summary)


def measured(book: Played, budget: float) -> dict[str, Any]:
    """Promised and realised growth and drawdown of a book, and what it did."""
    summary, returns = book.summary, book.returns
    chance = summary.get("chance", (np.nan, np.nan))
    equity = np.concatenate([[1.0], np.cumprod(1.0 + returns)])
    windows = window_drawdowns(equity)
    growth = float(np.log1p(returns).mean() * DAYS_PER_YEAR)
    promised = float(np.mean(summary["promised_growth"]))
    below = np.sort(1.0 - equity / np.maximum.accumulate(equity))[::-1]
    year = min(WINDOW, returns.size)
    yearly = np.log(equity[year:] / equity[:-year]) * DAYS_PER_YEAR / year
    return {
        "scale": float(np.mean(summary["scales"])) if summary["scales"] else np.nan,
        "promised_growth": promised,
        "growth": growth,
        "growth_equal_risk": float(equal_risk_growth(returns, budget).mean() * DAYS_PER_YEAR),
        "overfit": promised - growth,
        "mdd": float(windows.mean()),
        "realised_over_promised": float(windows.mean() / np.mean(summary["promised_drawdown"])),
        "chance_low": chance[0],
        "chance_high": chance[1],
        "max_drawdown": float(below[0]),
        "cdar": float(below[: max(1, round(_TAIL * below.size))].mean()),
        **{f"beyond_{depth:.0%}": float((windows > depth).mean()) for depth in DEPTHS},
        "median_year": float(np.median(yearly)),
        **{
            name: summary.get(name, np.nan)
            for name in (
                "turnover", "fees", "funding", "gross", "largest_gross", "bar_drawdown", "liquidations", "ruined",
            )
        },
    }  # fmt: skip


def differences(
    config: PortfolioConfig, parts: Sequence[Mapping[str, Played]], budget: float
) -> pd.DataFrame:
    """Growth of each policy less that of the base, and of the average, at equal realised risk.

    Daily returns are multiplied by a constant each, so that all have the budget as mean largest drawdown of 365 days;
    whole days are resampled for all policies at once. The constants are those of the whole test. Of several parts,
    each has its own constants, and their mean growth is compared.
    """
    scaled = {
        name: np.mean([equal_risk_growth(part[name].returns, budget) for part in parts], axis=0)
        for name in parts[0]
    }
    base = _against(config, scaled, config.base_name, "")
    low = pd.Series({name: base["low"].get(name, 0.0) for name in scaled})
    base["not_inferior"] = low >= -config.margin
    if config.average is not None:
        base = base.join(_against(config, scaled, config.average, "average_"))
    return base


def _against(
    config: PortfolioConfig, growth: Mapping[str, np.ndarray], base: str, prefix: str
) -> pd.DataFrame:
    """Differences to one policy: ``difference``, ``low``, ``high``, and ``p_family`` corrected for all rows.

    There are none with an account that a day ruins at the scale of equal risk.
    """
    how = config.statistics
    settings: dict[str, Any] = {
        "seed": config.seed, "mean_block": how.mean_block, "replications": how.replications,
    }  # fmt: skip
    lives = {name: bool(np.isfinite(days).all()) for name, days in growth.items()}
    others = [name for name in growth if name != base and lives[name] and lives[base]]
    rows = {name: dict.fromkeys(("difference", "low", "high"), np.nan) for name in growth}
    rows[base] = {"difference": 0.0, "low": 0.0, "high": 0.0}
    for name in others:
        one = growth_difference(growth[name], growth[base], level=how.level, **settings)
        rows[name] = {"difference": one.estimate, "low": one.low, "high": one.high}
    table = pd.DataFrame(rows).T
    if others:
        days = pd.DataFrame({name: growth[name] - growth[base] for name in others}).T
        table["p_family"] = family_of_means(days, **settings)["p_family"]
    return table.add_prefix(prefix)


def as_rows(config: PortfolioConfig, table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as JSON has them: all columns, ``policy``, ``budget``, and whether a row is the ``main`` policy's."""
    rows = []
    for row in table.reset_index().to_dict("records"):
        plain = {str(name): _plain(value) for name, value in row.items()}
        rows.append({"main": row["policy"] == config.main_name, **plain})
    return rows


def _plain(value: Any) -> Any:
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, str) or value is None:
        return value
    number = float(value)
    return number if np.isfinite(number) else None
