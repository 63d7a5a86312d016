"""Which leverage method for whom: the usual comparison table, every phrase of it decided by a measured number.

Nothing is written by hand but the words: a phrase stands only where its measurement says so, with the number.
"Surely" counts intervals beside zero; "corrected" is what is left of them when all cells are judged together, and only
what is left makes a method ideal for anyone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scipy.stats import binom

from gearing.evaluation.statistics.multiple_testing import LEVEL

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("ideal for", "advantages", "limits")
_CHANCE = 0.05  # of as many cells at 5 % by luck alone
_MUCH_LEVERAGE = (
    0.5  # a year of log growth; a row of fixed leverage that varies as much with its cell says so
)
_DEAR = 0.01  # fees a year in parts of equity that are worth a word


def comparison_of_methods(
    judged: pd.DataFrame, cells: pd.DataFrame, traders: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Rules beside fixed leverage of the same average: ideal for, advantages, limits.

    Parameters
    ----------
    judged : DataFrame
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
    import pandas as pd

    rows = {}
    for name in dict.fromkeys(cells.index.get_level_values("rule")):
        own: Any = cells.xs(name, level="rule")
        if name not in judged.index:
            rows[name] = _of_fixed(own)
            continue
        row = judged.loc[name]
        told = (_ideal(name, own, traders), _advantages(row), _limits(row, own))
        rows[name] = dict(zip(COLUMNS, ("; ".join(parts) for parts in told), strict=True))
    return pd.DataFrame(rows).T.rename_axis("method")


def _of_fixed(own: pd.DataFrame) -> dict[str, str]:
    """Fixed leverage is the yardstick: what it did, cell by cell."""
    worst, best = own.log_growth.min(), own.log_growth.max()
    survived = int((~own.ruined.astype(bool)).sum())
    limits = f"{own.liquidations.mean():.1f} liquidations a year, ruined in {len(own) - survived} of {len(own)} cells"
    if best - worst > _MUCH_LEVERAGE:
        limits += f"; growth between {worst:+.2f} and {best:+.2f} a year, by contract and side"
    return {
        "ideal for": "the yardstick of the others",
        "advantages": f"fees of {own.fees.mean():.1%} of equity a year, nothing to estimate",
        "limits": limits,
    }


def _ideal(name: str, own: pd.DataFrame, traders: pd.DataFrame | None) -> list[str]:
    parts = []
    sure = own[own.vs_same_leverage_low > 0.0].sort_values("vs_same_leverage", ascending=False)
    if "vs_same_leverage_p_family" in sure:
        sure = sure[sure.vs_same_leverage_p_family <= LEVEL]
    for key, cell in sure.head(2).iterrows():
        where = " ".join(str(part) for part in (key if isinstance(key, tuple) else (key,)) if _speaks(part))
        parts.append(
            f"{where}: {cell.vs_same_leverage:+.2f} [{cell.vs_same_leverage_low:+.2f}, "
            f"{cell.vs_same_leverage_high:+.2f}] growth a year against fixed"
        )
    if traders is not None and name in traders.index.get_level_values("rule"):
        mine = traders.xs(name, level="rule")
        if "p_family" in mine:
            mine = mine[mine.p_family <= LEVEL]
        for key, row in mine[mine.verdict == "most are better off"].iterrows():
            who = " ".join(f"{part:g}x" if isinstance(part, float) else str(part) for part in _tuple(key))
            parts.append(f"{who} traders: {row.better:.0%} [{row.low:.0%}, {row.high:.0%}] better off")
    return parts or ["nobody whom these data can name: nowhere surely ahead of fixed leverage"]


def _advantages(row: Any) -> list[str]:
    parts, n = [], int(row.cells)
    if row.fewer_same_leverage:
        parts.append(
            f"liquidated {row.cut:.0%} less often than fixed leverage of the same average, surely so in "
            f"{_of(row, 'fewer_same_leverage')} cells"
        )
    if row.better_same_leverage:
        parts.append(f"grew faster than it, surely in {_of(row, 'better_same_leverage')}")
    if row.better_same_volatility:
        parts.append(f"grew faster at the same volatility, surely in {_of(row, 'better_same_volatility')}")
    if "timed_liquidations" in row:
        for name, what in (("timed_liquidations", "fewer liquidations"), ("timed_growth", "more growth")):
            if row[name] and binom.sf(row[name] - 1, n, LEVEL) < _CHANCE:
                parts.append(
                    f"its moments, not its average, brought {what} in {_of(row, name)} against circular shifts at 5 %"
                )
    return parts or ["none that these data show"]


def _limits(row: Any, own: pd.DataFrame) -> list[str]:
    n = int(row.cells)
    parts = [f"growth at the same average leverage: median {row.growth_same_leverage:+.2f} a year"]
    if row.worse_same_leverage:
        parts[0] += f", surely lower in {_of(row, 'worse_same_leverage')}"
    if row.more_same_leverage:
        parts.append(f"surely more liquidations in {_of(row, 'more_same_leverage')}")
    if row.fees > _DEAR:
        parts.append(f"fees of {row.fees:.1%} of equity a year")
    if row.ruined:
        parts.append(f"ruined in {row.ruined:g} of {n} (its fixed twin in {row.twin_ruined:g})")
    worst = own.max_drawdown.max()
    return [*parts, f"largest drawdown {worst:.0%}"]


def _of(row: Any, name: str) -> str:
    """A count of a rule's cells; in parentheses how many stand when the cells of all rules are judged together."""
    together = f" ({row[f'{name}_family']:g} corrected)" if f"{name}_family" in row else ""
    return f"{row[name]:g} of {row.cells:g}{together}"


def _speaks(part: Any) -> bool:
    """Whether a part of a cell's name tells one cell from another to a reader."""
    return isinstance(part, str) and part != "every_decision"


def _tuple(key: Any) -> tuple[Any, ...]:
    return key if isinstance(key, tuple) else (key,)
