"""`gearing data`: fetch, import, check and describe market history."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from gearing.cli.shared import Json, Plugins, Settings, ad_hoc, data_line, writable, write_json

data = typer.Typer(help="Market data: download, import, check, store and describe.", no_args_is_help=True)
Folder = Annotated[Path | None, typer.Option(help="Data folder; default $GEARING_DATA, else data.")]


MOST_LINES = 20  # about what failed


def _folder(given: Path | None) -> Path:
    return given or Path(os.environ.get("GEARING_DATA", "data"))


@data.command("describe")
def describe_data(
    settings: Settings = None,
    figure: Annotated[
        Path | None,
        typer.Option(
            help="Also plot tails, memory, the daily pattern and funding to this file.", callback=writable
        ),
    ] = None,
    json_file: Json = None,
    plugins: Plugins = None,
) -> None:
    """Stylised facts of a market, compared with those of bitcoin and ether."""
    from gearing.drawing import png
    from gearing.evaluation.reports.tables import fitted
    from gearing.market.synthetic.stylised_facts import describe, period_note, plot_facts

    config = ad_hoc("data describe", settings or [], ["market"], plugins)
    market = config.market.open()
    for line in [*data_line(settings or []), repr(market)]:
        typer.echo(line)
    for note in market.notes:
        typer.echo(f"  {note}")
    typer.echo(f"  {period_note(market)}")
    facts = describe(market)
    if figure is not None:
        figure.write_bytes(png(plot_facts(market)))
    typer.echo(fitted(facts.map(lambda value: f"{value:.3g}" if isinstance(value, float) else value)))
    write_json(
        json_file, {"market": repr(market), "notes": list(market.notes), "facts": facts["value"].to_dict()}
    )


@data.command("check")
def check_data(
    folder: Annotated[Path | None, typer.Argument(help="Data folder; default $GEARING_DATA.")] = None,
    symbol: Annotated[list[str] | None, typer.Option(help="Only this contract; may be repeated.")] = None,
    json_file: Json = None,
) -> None:
    """Check a data folder and list its files and problems; exits with 1 if a file is unusable."""
    from gearing.evaluation.reports.tables import fitted
    from gearing.market.history.check import check_folder

    report = check_folder(folder, symbols=symbol)
    for table, names in ((report.file_table(), ["file"]), (report.table(), ["level", "file"])):
        if len(table):
            typer.echo(f"{fitted(table.set_index(names))}\n")
    typer.echo(str(report))
    write_json(json_file, report.to_dict())
    raise typer.Exit(report.exit_code)


@data.command("fetch")
def fetch_data(
    symbols: Annotated[list[str], typer.Argument(help="Contracts, such as BTCUSDT ETHUSDT")],
    folder: Folder = None,
    bar: Annotated[str, typer.Option(help="Length of the bars.")] = "1h",
    start: Annotated[str, typer.Option("--from", help="First day, UTC.")] = "2020-01-01",
    end: Annotated[str | None, typer.Option("--to", help="First day left out; default today.")] = None,
    kind: Annotated[
        list[str] | None, typer.Option(help="klines, mark, funding (default); index, metrics, book-depth")
    ] = None,
    venue: Annotated[
        str, typer.Option(help="binance (its public archive), or bybit or okx (through ccxt).")
    ] = "binance",
    dvol: Annotated[
        list[str] | None, typer.Option(help="Also Deribit's volatility index of this coin.")
    ] = None,
    base_url: Annotated[str | None, typer.Option(help="Another address of the archive.")] = None,
    workers: Annotated[int, typer.Option(help="Files fetched at a time.", min=1)] = 4,
    allow_missing: Annotated[
        bool,
        typer.Option("--allow-missing", help="Exit with 0 although the archive lacks days of the period."),
    ] = False,
    json_file: Json = None,
) -> None:
    """Download history; complete files are not fetched again. Exits with 1 if a file failed or days are missing."""
    from gearing.market.sources.download import DEFAULT_KINDS, fetch
    from gearing.market.sources.fetching import FetchSettings

    kinds, target = tuple(kind or DEFAULT_KINDS), _folder(folder)
    first = f"{start}-01" if start.count("-") == 1 else start
    last = end or datetime.now(UTC).date().isoformat()
    for coin in dvol or []:
        from gearing.market.sources.exchanges import fetch_dvol

        typer.echo(f"wrote       {target / fetch_dvol(coin, target, first, last)}")
    if venue != "binance":
        holes = _fetch_exchange(venue, symbols, kinds, folder=target, start=first, end=last, bar=bar)
        raise typer.Exit(int(bool(holes) and not allow_missing))
    settings = FetchSettings(workers=workers) if base_url is None else FetchSettings(base_url, workers)
    download = partial(fetch, symbols, target, bar, first, end, kinds, settings=settings)
    report = _with_bar(partial(download, allow_missing=allow_missing))
    typer.echo(f"{report} in {target}")
    failed = [f"failed      {outcome.detail}" for outcome in report.failed]
    for symbol in report.unknown:
        failed.append(f"unknown     the archive has no file of {symbol} in this period; check the spelling.")
    failed += [f"missing     {hole}; the archive has no such file." for hole in report.missing]
    if report.missing and not allow_missing:
        failed.append("            --allow-missing accepts that; loading says how it treats gaps.")
    more = [f"            and {len(failed) - MOST_LINES} more lines; --json FILE has them all."]
    for line in failed if len(failed) <= MOST_LINES else failed[:MOST_LINES] + more:
        typer.secho(line, fg="red", err=True)
    write_json(json_file, report.to_dict())
    raise typer.Exit(report.exit_code)


def _fetch_exchange(venue: str, symbols: list[str], kinds: tuple[str, ...], **where: Any) -> list[str]:
    """Download through ccxt, in its spelling of symbols; returns what the exchange lacks, which is printed too."""
    from gearing.market.sources.download import KINDS
    from gearing.market.sources.exchanges import FOLDERS, fetch_ccxt

    if venue not in FOLDERS:
        raise ValueError(f"--venue is one of binance, {', '.join(FOLDERS)}, not {venue!r}.")
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise ValueError(f"no data kind {', '.join(unknown)}; {venue} has klines, mark, index and funding.")
    holes: list[str] = []
    for symbol in symbols:
        name = symbol if "/" in symbol else f"{symbol.removesuffix('USDT')}/USDT:USDT"
        for kind in kinds:
            typer.echo(
                f"wrote       {where['folder'] / fetch_ccxt(venue, name, kind=KINDS[kind], tell=holes.append, **where)}"
            )
    for hole in holes:
        typer.secho(f"missing     {hole}", fg="red", err=True)
    return holes


def _with_bar(fetch: Callable[..., Any]) -> Any:
    """What ``fetch`` returns, with a bar of its progress."""
    from rich.progress import Progress

    with Progress(transient=True) as bars:
        task = bars.add_task("archive files", total=None)
        return fetch(progress=lambda outcome, done, total: bars.update(task, completed=done, total=total))


@data.command("store")
def store_data(
    target: Annotated[Path, typer.Argument(help="Folder of the store; replaced if it exists.")],
    symbols: Annotated[list[str], typer.Argument(help="Contracts, such as BTCUSDT ETHUSDT")],
    start: Annotated[str, typer.Option("--from", help="First bar, UTC.")],
    end: Annotated[str, typer.Option("--to", help="First bar left out, UTC.")],
    folder: Folder = None,
    bar: Annotated[str, typer.Option(help="Length of the bars.")] = "1m",
    venue: Annotated[str, typer.Option(help="Folder of the venue.")] = "binance-um",
    missing_mark: Annotated[str, typer.Option(help="error or last")] = "error",
    missing_funding: Annotated[str, typer.Option(help="error, zero or median")] = "error",
    missing_tiers: Annotated[str, typer.Option(help="error or earliest")] = "error",
) -> None:
    """Write many contracts of short bars as memory-mapped files for `open_store`."""
    from gearing.market import build_store, open_store

    build_store(
        target, _folder(folder), symbols, bar, start, end, venue=venue, missing_mark=missing_mark,
        missing_funding=missing_funding, missing_tiers=missing_tiers,
    )  # fmt: skip
    market = open_store(target)
    typer.echo(f"wrote       {target}: {market!r}")
    for note in market.notes:
        typer.echo(f"  {note}")


@data.command("import")
def import_data(
    freqtrade: Annotated[
        Path | None, typer.Option(help="freqtrade's data folder (user_data/data/binance).")
    ] = None,
    table: Annotated[
        list[Path] | None,
        typer.Option(help="A CSV, JSON, Parquet or Feather table; needs --symbol. May be repeated."),
    ] = None,
    symbol: Annotated[str | None, typer.Option(help="Contract of the table.")] = None,
    kind: Annotated[str, typer.Option(help="last, mark, index or funding.")] = "last",
    bar: Annotated[
        str | None, typer.Option(help="Length of the table's bars; default their usual step.")
    ] = None,
    column: Annotated[list[str] | None, typer.Option(help="OURS=THEIRS, such as open_time=date.")] = None,
    venue: Annotated[
        str | None,
        typer.Option(
            help="Folder of the venue; default binance-um for tables, the exchange of freqtrade's folder."
        ),
    ] = None,
    date_format: Annotated[
        str | None, typer.Option(help="day-first, month-first, or a format such as '%d.%m.%y %H:%M'.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Take the imported rows where stored ones disagree.")
    ] = False,
    folder: Folder = None,
) -> None:
    """Import data of other programs into the folder layout; adds to what the folder holds.

    Exits with 1 if a file of freqtrade's folder could not be imported; the others are written.
    """
    from gearing.market import import_freqtrade, import_table

    target = _folder(folder)
    if (freqtrade is None) == (not table):
        raise ValueError("give either --freqtrade FOLDER or --table FILE.")
    if freqtrade is not None:
        report = import_freqtrade(freqtrade, target, venue, replace=replace)
    else:
        if symbol is None:
            raise ValueError("--table needs --symbol: the contract of the table.")
        report = import_table(
            table or [], target, symbol, kind, bar, _mapping(column or []), venue or "binance-um", replace,
            date_format,
        )  # fmt: skip
    _print_import(report, target)
    raise typer.Exit(report.exit_code)


def _print_import(report: Any, target: Path) -> None:
    for name in report.written:
        typer.echo(f"wrote       {target / name}")
    for note in report.notes:
        typer.echo(f"note        {note}")
    for name in report.skipped[:10]:
        typer.echo(f"skipped     {name}: no candles, mark, index or funding of a perpetual future")
    if len(report.skipped) > 10:
        typer.echo(f"skipped     {len(report.skipped) - 10} more files of this sort")
    for why in report.failed.values():
        typer.secho(f"failed      {why}", fg="red", err=True)


def _mapping(columns: list[str]) -> dict[str, str]:
    for text in columns:
        if "=" not in text:
            raise ValueError(f"--column {text!r} has no '='; write OURS=THEIRS, such as open_time=date.")
    return dict(text.split("=", 1) for text in columns)
