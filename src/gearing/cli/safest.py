"""``gearing safest-leverage``: how much leverage for which appetite for risk, and whether such promises were met."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gearing.cli.shared import Json, writable, write_json

if TYPE_CHECKING:
    from gearing.evaluation.risk.safest_leverage import Promiser, SafestLeverage

_SIDES = {"long": ("long",), "short": ("short",), "both": ("long", "short")}


def safest_leverage(
    symbols: Annotated[list[str], typer.Argument(metavar="SYMBOL...", help="Contracts, such as BTCUSDT.")],
    folder: Annotated[
        Path | None, typer.Option("--data", help="Data folder; default $GEARING_DATA.", show_default=False)
    ] = None,
    venue: Annotated[str, typer.Option(help="Folder of the venue in the data folder.")] = "binance-um",
    bar: Annotated[str, typer.Option(help="Length of a bar.")] = "1h",
    horizon: Annotated[
        list[str] | None,
        typer.Option(help="Whole days from 1d to 30d; may be repeated. Default 1d, 7d and 30d."),
    ] = None,
    budget: Annotated[
        list[str] | None,
        typer.Option(help="Largest probability, as in 5% or 0.05; may be repeated. Default 1%, 5% and 25%."),
    ] = None,
    side: Annotated[str, typer.Option(help="long, short or both.")] = "both",
    event: Annotated[
        str,
        typer.Option(help="liquidation, or drawdown: the loss of a share of the equity behind the position."),
    ] = "liquidation",
    drawdown: Annotated[float, typer.Option(help="That share.")] = 0.5,
    equity: Annotated[
        float, typer.Option(help="Equity behind the position; it decides the margin tier.")
    ] = 10_000.0,
    pool: Annotated[
        list[str] | None,
        typer.Option(
            help="Contracts that the law is fitted on; may be repeated. Default: all others of the folder."
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(help="Moment (UTC) of the answer; nothing later is used. Default: the newest bar."),
    ] = None,
    check: Annotated[
        str | None,
        typer.Option(
            metavar="FROM", help="Fit before this date and compare what was promised with what came after it."
        ),
    ] = None,
    figure: Annotated[
        Path | None, typer.Option(help="Draw leverage by budget to this file (PNG).", callback=writable)
    ] = None,
    json_file: Json = None,
) -> None:
    """Print the largest leverage whose probability of liquidation is within a budget, by appetite, horizon and side.

    For example: gearing safest-leverage BTCUSDT ETHUSDT --budget 5% --horizon 7d --check 2024-01-01
    """
    from gearing.drawing import png
    from gearing.evaluation.reports.tables import fitted
    from gearing.evaluation.risk.safest_table import (
        budgets_of,
        came_row,
        check_rows,
        leverage_table,
        open_contracts,
        promise_figure,
        record,
    )

    horizons, budgets = list(horizon or ("1d", "7d", "30d")), budgets_of(budget or ("1%", "5%", "25%"))
    if side not in _SIDES:
        raise typer.BadParameter(f"--side is {side}; it must be one of {', '.join(_SIDES)}.")
    markets, others = open_contracts(folder, venue, bar, symbols, pool)
    records, checks, lines = [], [], []
    for symbol in dict.fromkeys(symbols):
        made = _promiser(symbol, markets, others, horizons, at, drawdown, equity)
        found = [made.promise(event, h, b, s) for s in _SIDES[side] for h in horizons for b in budgets]
        records += found
        lines += _about(made, found)
        if check is not None:
            checks += check_rows(made, check, event, found)
    typer.echo(fitted(leverage_table(records)))
    typer.echo("\n".join(["", *lines, "", "such promises, made on every past day, walking forward:"]))
    typer.echo(_came_table([came_row(one) for one in records]))
    if checks:
        typer.echo(f"\nfitted before {check}, checked after it:\n{_came_table(checks)}")
    if figure is not None:
        figure.write_bytes(png(promise_figure(records)))
        typer.echo(f"figure      {figure}")
    write_json(json_file, {"answers": [record(one) for one in records], "checks": checks})


def _promiser(
    symbol: str,
    markets: dict[str, Any],
    others: Sequence[str],
    horizons: Sequence[str],
    at: str | None,
    drawdown: float,
    equity: float,
) -> Promiser:
    from gearing.evaluation.risk.safest_leverage import Promiser

    pool = [markets[name] for name in others if name != symbol]
    return Promiser(
        markets[symbol], pool=pool, horizons=horizons, at=at, drawdown=drawdown, initial_equity=equity
    )


def _about(made: Promiser, found: Sequence[SafestLeverage]) -> list[str]:
    """Model, data, warnings and refusals of a contract's answers."""
    from gearing.evaluation.risk.safest_leverage import MODEL

    first = found[0]
    return [
        f"{first.contract}: positions opened on {first.at}, maintenance margin {first.maintenance:.2%}",
        f"  model     {MODEL}",
        f"  data      {', '.join(first.pool)}, {first.span}",
        *(f"  warning   {text}" for text in first.warnings),
        *(f"  refused   {one.refused}" for one in found if one.refused is not None),
    ]


def _came_table(rows: Sequence[dict[str, Any]]) -> str:
    """Promised and realised, one row per promise."""
    import pandas as pd

    from gearing.evaluation.reports.tables import fitted

    shown = [
        {
            "contract": row["contract"], "side": row["side"], "within": row["horizon"],
            "promised": f"{row['promised']:.3g}", "realised": "refused" if row["refused"] else
            f"{row['realised']:.1%} [{row['low']:.1%}, {row['high']:.1%}]", "events": row["independent"],
            "leverage": "-" if row["refused"] else f"{row['mean_leverage']:.1f}x",
        }
        for row in rows
    ]  # fmt: skip
    return fitted(pd.DataFrame(shown).set_index("contract"))
