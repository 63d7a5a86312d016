"""``gearing reconcile``: account statements replayed through the exchange rules."""

from pathlib import Path
from typing import Annotated

import typer

from gearing.cli.shared import Json, write_json


def reconcile(
    statements: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="Records of the venue, JSON as its interface returns them or CSV as its page exports them: "
            "executions, funding and income, ledgers, forced orders, open and closed positions. Several files and "
            "pages together.",
        ),
    ],
    venue: Annotated[
        str, typer.Option(help="binance-usdm, binance-coinm (contracts such as BTCUSD_PERP), bybit or okx.")
    ] = "binance-usdm",
    fee_level: Annotated[
        str | None,
        typer.Option(
            help="The account's level in the venue's fee table, such as VIP1; default the regular one."
        ),
    ] = None,
    contracts: Annotated[
        list[Path] | None,
        typer.Option(
            help="Contracts and margin tiers, JSON: the venue's answer (exchangeInfo and leverageBracket; "
            "instruments-info and risk-limit; instruments and position-tiers), brackets.json, or a list of "
            "Contract.to_dict(). Repeat it for several files. Default: tiers of the data folder, else those shipped."
        ),
    ] = None,
    funding: Annotated[
        Path | None,
        typer.Option(
            help="Settled rates that the records omit: a data folder, its funding.parquet, a table with time, rate, "
            "mark and symbol, or the venue's funding history (JSON). With them, payments that are missing are found."
        ),
    ] = None,
    marks: Annotated[
        Path | None,
        typer.Option(
            help="The venue's mark prices, for liquidations and for settlements without a mark: a table, its candles "
            "(JSON), or a data folder."
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Data folder with margin tiers; default $GEARING_DATA.")
    ] = None,
    date_format: Annotated[
        str | None,
        typer.Option(help="Of dates such as 01/02/2025: day-first, month-first, or '%d/%m/%Y %H:%M'."),
    ] = None,
    json_file: Json = None,
) -> None:
    """Replay account statements through the exchange rules.

    Every row is checked, listed as not checked with the reason, skipped by kind, or doubled by another page. Exits with
    1 if a printed number differs or a row is missing, with 2 if nothing could be checked.
    """
    from gearing.evaluation.reconcile.files import reconcile_files

    found = reconcile_files(statements, venue, fee_level, contracts, funding, marks, data, date_format)
    typer.echo(str(found))
    write_json(json_file, found.to_dict())
    if found.exit_code == 2:
        names = ", ".join(str(path) for path in statements)
        typer.echo(f"error: nothing in {names} could be checked; the output says why, row by row.", err=True)
    raise typer.Exit(found.exit_code)
