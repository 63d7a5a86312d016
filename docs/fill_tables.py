"""Fill the tables of the documentation from docs/tables, and those from experiments.

    python docs/fill_tables.py                          # pages from docs/tables
    python docs/fill_tables.py crash_replay case_study  # run these experiments first, and take their tables and figures

A page marks a table by two comments, ``<!-- table: NAME arguments -->`` and ``<!-- end -->``; what stands between them
is replaced by what the function NAME below makes of a file in docs/tables.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

DOCS = Path(__file__).resolve().parent
BLOCK = re.compile(r"(<!-- table: (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)
# Experiment: its tables that docs/tables holds, with their significant digits; and its figures that docs/images holds.
TABLES = {
    "crash_replay": {"replays": ("crash_replays", 12)},
    "market_a_answers": {"full": ("market_a_full", 6), "variants": ("market_a_variants", 6)},
    "case_study": {"cells": ("case_study_cells", 6)},
}
FIGURES = {
    "leverage_risk": {"risk": "leverage_risk"},
    "funding_erosion": {"erosion": "funding_erosion"},
    "margin_modes": {"modes": "margin_modes"},
    "methods": {"dynamic": "dynamic", "majority": "majority"},
    "promises": {
        "budgets": "promises_budgets",
        "reliability": "promises_reliability",
        "leverage": "promises_leverage",
    },
    "reference_ablation": {"ablation": "reference_ablation"},
}


def main(experiments: Sequence[str]) -> None:
    """Run experiments, then fill all pages."""
    for name in experiments:
        take(name)
    for page in DOCS.glob("*.md"):
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")


def take(experiment: str) -> None:
    """Run an experiment, or what is missing of it, and copy its tables and figures."""
    import gearing

    done = gearing.run_study(DOCS.parent / "experiments" / f"{experiment}.yaml", ["tracking.enabled=false"])
    for table, (name, digits) in TABLES.get(experiment, {}).items():
        path = DOCS / "tables" / f"{name}.csv"
        done.findings.tables[table].to_csv(path, float_format=f"%.{digits}g")
    for figure, name in FIGURES.get(experiment, {}).items():
        shutil.copyfile(done.folder / f"{figure}.png", DOCS / "images" / f"{name}.png")


def filled(page: str) -> str:
    """A page with its tables made anew."""

    def table(block: re.Match[str]) -> str:
        name, *given = block[2].split()
        return f"{block[1]}{MAKERS[name](*given)}\n{block[3]}"

    return BLOCK.sub(table, page)


def crash_replay(contract: str, crash: str) -> str:
    """When each leverage was liquidated, on the mark and on the last price."""
    found = pd.read_csv(DOCS / "tables" / "crash_replays.csv", parse_dates=["liquidated"])
    found = found[(found.contract == contract) & (found.crash == crash)]
    mark, last = (part.reset_index() for _, part in found.groupby("series", sort=False))
    lowest = f"Lowest mark {mark.lowest[0]:,.6g}, lowest last {last.lowest[0]:,.6g}.\n\n"
    rows = [
        [f"{row.leverage:g}{'*' if row.capped else ''}", *_hit(row), *_hit(other), f"{row.equity:,.0f}"]
        for row, other in zip(mark.itertuples(), last.itertuples(), strict=True)
    ]
    header = ["leverage", "by mark", "at", "by last", "at", "equity left (mark)"]
    return lowest + markdown(header, "rlrlrr", rows)


def _hit(row: Any) -> tuple[str, str]:
    """Time and price of a liquidation."""
    if pd.isna(row.liquidated):
        return "survives", ""
    return f"{row.liquidated:%d %b %H:%M}", f"{row.price:,.6g}"


def market_a(table: str) -> str:
    """Growth on market A: published or in closed form, computed, sampled, and in the simulator."""
    found = pd.read_csv(DOCS / "tables" / f"market_a_{table}.csv")
    names, known = (["policy"], "protocol") if table == "full" else (["variant", "policy"], "closed form")
    rows = [
        [*(row[name] for name in names), _known(row), *(f"{row[x]:.4f}" for x in ("computed", "computed_moved")),
         *(_with_error(row, name) for name in ("sampled", "played"))]
        for _, row in found.iterrows()
    ]  # fmt: skip
    header = [*names, known, "computed", "with moved funding", "sampled", "simulator"]
    return markdown(header, "l" * len(names) + "rrrrr", rows)


def _known(row: pd.Series) -> str:
    if "published" in row:
        return _with_error(row, "published")
    return "" if pd.isna(row["closed_form"]) else f"{row['closed_form']:.4f}"


def _with_error(row: pd.Series, name: str) -> str:
    error = row[f"{name}_error"]
    return f"{row[name]:.3f}" + ("" if pd.isna(error) else f" ± {error:.3f}")


def case_study_claim() -> str:
    """Every cell of the claim's rule with a tenth of the equity as margin."""
    cells = _cells(0.1)
    rows = [
        [f"{row.contract.removesuffix('USDT')}, {row.direction}, {row.rebalance.replace('_', ' ')}",
         f"{row.sharpe:.2f}", f"{row.sharpe_ratio:.2f}",
         *(_interval(row, *names) for names in (
             ("sharpe_gain", "sharpe_low", "sharpe_high"),
             ("vs_same_leverage", "vs_same_leverage_low", "vs_same_leverage_high"),
             ("vs_same_volatility", "vs_same_volatility_low", "vs_same_volatility_high"),
         )), f"{row.shift_p:.2f}"]
        for _, row in cells[cells.rule == "volatility_weighted"].iterrows()
    ]  # fmt: skip
    header = [
        "contract, side, rebalancing", "Sharpe", "of 10x's", "difference", "growth less same leverage",
        "less same volatility", "shifts, p",
    ]  # fmt: skip
    return markdown(header, "lrrrrrr", rows)


def _interval(row: pd.Series, name: str, low: str, high: str) -> str:
    return f"{row[name]:+.2f} [{row[low]:+.2f}, {row[high]:+.2f}]"


def case_study_rules() -> str:
    """Every rule over the nine cells of a contract; in parentheses what remains after correction."""
    whole = _cells(1.0).groupby(["contract", "rule"], sort=False).ruined.sum()
    rows = []
    for (contract, rule), cells in _cells(0.1).groupby(["contract", "rule"], sort=False):
        ratio, baseline = cells.sharpe_ratio, rule == "fixed_10x"
        ratios = "1" if baseline else f"{ratio.min():.2f} / {ratio.median():.2f} / {ratio.max():.2f}"
        moves = cells.vs_same_leverage.notna().any()
        gains = [_counts(cells, name) if moves else "-" for name in
                 ("vs_same_leverage", "vs_same_volatility", "fewer_same_leverage")]  # fmt: skip
        timed = cells.shift_p <= 0.05
        remains = timed & (cells.shift_p_family <= 0.05)
        rows.append(
            [f"{contract.removesuffix('USDT')} {rule}", str(whole[contract, rule]),
             f"{cells.sharpe.min():.2f} to {cells.sharpe.max():.2f}", ratios,
             "-" if baseline else _counts(cells, "sharpe"), *gains,
             f"{timed.sum()} ({remains.sum()})" if moves else "-"]
        )  # fmt: skip
    header = [
        "contract, rule", "ruined of 9", "Sharpe", "over 10x's: least / median / largest", "Sharpe less 10x's",
        "growth less same leverage", "less same volatility", "liquidations avoided", "shifts, p below 5 %",
    ]  # fmt: skip
    return markdown(header, "lrrrrrrrr", rows)


def _counts(cells: pd.DataFrame, name: str) -> str:
    """Intervals above and below zero; in parentheses those that remain after correction."""
    remains = cells[f"{name}_p_family"] <= 0.05
    sides = cells[f"{name}_low"] > 0.0, cells[f"{name}_high"] < 0.0
    return " / ".join(f"{side.sum()} ({(side & remains).sum()})" for side in sides)


def _cells(margin_share: float) -> pd.DataFrame:
    cells = pd.read_csv(DOCS / "tables" / "case_study_cells.csv")
    return cells[cells.margin_share == margin_share]


def markdown(header: Sequence[str], align: str, rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; ``align`` has one letter, l or r, per column."""
    rule = ["---" if side == "l" else "---:" for side in align]
    lines = [f"| {' | '.join(header)} |", f"|{'|'.join(rule)}|", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines)


MAKERS = {
    "crash_replay": crash_replay,
    "market_a": market_a,
    "case_study_claim": case_study_claim,
    "case_study_rules": case_study_rules,
}

if __name__ == "__main__":
    main(sys.argv[1:])
