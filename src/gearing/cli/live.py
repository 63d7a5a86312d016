"""``gearing paper``, ``gearing serve`` and ``gearing watch``: bundles at work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gearing.cli.shared import (
    JUMP,
    OUTSIDE,
    Account,
    Bars,
    Bundle,
    Fallback,
    Funding,
    Json,
    Key,
    MaxAge,
    MaxJump,
    MaxOutside,
    Plugins,
    Venue,
    write_json,
)  # fmt: skip

if TYPE_CHECKING:
    from gearing.live.paper.run import PaperRun


def paper(
    bundle: Bundle,
    folder: Annotated[
        Path, typer.Option(help="Folder of the paper account; one that exists is continued.")
    ] = Path("paper"),
    bars: Annotated[
        Path | None, typer.Option(help="Recorded bars, CSV or Parquet, as `gearing decide` reads them.")
    ] = None,
    funding: Annotated[Path | None, typer.Option(help="Settlements to --bars, CSV or Parquet.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Data folder with recorded bars; default $GEARING_DATA.")
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="The venue's public bars, through ccxt, as they come.")
    ] = False,
    start: Annotated[
        str | None, typer.Option("--from", help="First decision, UTC; default the earliest.")
    ] = None,
    end: Annotated[str | None, typer.Option("--until", help="No decision from this moment on, UTC.")] = None,
    speed: Annotated[
        float | None,
        typer.Option(
            help="Recorded bars at this multiple of real time, such as 1 or 3600; default as fast as possible.",
            min=0.001,
        ),
    ] = None,
    equity: Annotated[
        float | None, typer.Option(help="At the first decision; default that of the bundle.", min=0.01)
    ] = None,
    fallback: Fallback = "hold",
    statement: Annotated[
        Path | None,
        typer.Option(help="Write the account's statement, in its venue's format, into this folder."),
    ] = None,
    json_file: Json = None,
    plugins: Plugins = None,
) -> None:
    """Trade a paper account with a bundle: decisions on the clock, fills by the simulator. No order is sent.

    The folder's journal holds the account: a run that was stopped or killed is continued by the same command. Writes
    ledger.csv, shadow.csv (paper minus simulated) and account.json into the folder.
    """
    from gearing.export import load_bundle
    from gearing.live.paper.report import summary, summary_line
    from gearing.live.paper.run import paper_account
    from gearing.market.timing import stamp
    from gearing.plugins import load_plugins

    load_plugins(plugins or ())
    chosen = load_bundle(bundle)
    first, last = (
        None if text is None else stamp(text, name) for text, name in ((start, "--from"), (end, "--until"))
    )
    source = _source(bars, funding, data, live, speed)
    typer.echo(f"bundle      {chosen!r}")
    with paper_account(chosen, folder, equity, fallback) as run, _written(run, folder):
        if run.decisions:
            typer.echo(f"continued   {folder}, {len(run.decisions)} decisions so far")
        feed, clock = source(run, first, last)
        _go(run, feed, clock, first, last, shown=live or speed is not None)
    typer.echo(f"wrote       {folder}: ledger.csv, shadow.csv, account.json, journal.jsonl")
    if statement is not None:
        from gearing.live.paper.statement import write_statement

        for path in write_statement(run, statement):
            typer.echo(f"wrote       {path}")
    found = summary(run)
    typer.echo(f"paper       {summary_line(found)}")
    write_json(json_file, found)


@contextmanager
def _written(run: PaperRun, folder: Path) -> Iterator[None]:
    """Write the reports at the end, also of a run that is stopped."""
    from gearing.live.paper.report import write_reports

    try:
        yield
    finally:
        write_reports(run, folder)


def _source(
    bars: Path | None, funding: Path | None, data: Path | None, live: bool, speed: float | None
) -> Any:
    """A function that returns the feed and the clock of a run."""
    import numpy as np

    from gearing.live.paper.clock import Running, Unhurried
    from gearing.live.paper.feeds import file_feed, folder_feed, live_feed

    if live + (bars is not None) + (data is not None) > 1 or (live and speed is not None):
        raise ValueError("give one of --bars, --data and --live; --speed is for recorded bars.")
    if funding is not None and bars is None:
        raise ValueError("--funding belongs to --bars; a data folder and --live have their own settlements.")

    def chosen(run: PaperRun, first: np.datetime64 | None, last: np.datetime64 | None) -> tuple[Any, Any]:
        if live:
            clock = Running()
            return live_feed(run.bundle, run.folder / "market", clock.now, tell=_warned), clock
        begins = np.datetime64(run.decisions[-1]["time"], "ms") if run.decisions else first
        feed = (
            folder_feed(run.bundle, data, begins, last)
            if bars is None
            else file_feed(run.bundle, bars, funding)
        )
        if speed is None:
            return feed, Unhurried()
        moment = run.next_moment(feed.known(), first)
        return feed, Running(moment, speed)

    return chosen


def _go(run: PaperRun, feed: Any, clock: Any, first: Any, last: Any, shown: bool) -> None:
    """Decide until the feed ends; prints every decision where time passes, else a bar of progress and refusals."""
    from rich.progress import Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, transient=True, disable=shown) as progress:
        task = progress.add_task("paper")
        for line in run.go(feed, clock, first, last):
            if shown:
                typer.echo(decision_line(line))
            elif line["paper"]["refused"]:
                progress.console.print(decision_line(line), markup=False, highlight=False, soft_wrap=True)
            progress.update(task, description=f"paper, {len(run.decisions):,} decisions")
    if not run.decisions:
        raise ValueError(
            f"the bars hold no decision: the bundle looks back over {run.bundle.lookback_bars} bars. Give older bars."
        )


def decision_line(line: dict[str, Any]) -> str:
    """A decision of the journal as a line."""
    import numpy as np

    moment = np.datetime64(line["time"], "ms").astype("datetime64[m]")
    if line["paper"]["refused"]:
        return f"{moment}Z  refused: {line['paper']['refused']}"
    targets = line["paper"]["decision"]["target_leverage"]
    return f"{moment}Z  " + ", ".join(f"{name} {value:+.2f}x" for name, value in targets.items())


def _warned(text: str) -> None:
    typer.secho(f"missing     {text}", fg="yellow", err=True)


def serve(
    bundles: Annotated[
        list[str],
        typer.Argument(
            metavar="BUNDLE...",
            help="Folders of bundles; NAME=FOLDER names one, FOLDER@DIGEST pins its digest. The default name is the "
            "folder's.",
        ),
    ],
    host: Annotated[
        str, typer.Option(help="Address; the default is reached from this machine only.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port.", min=0, max=65_535)] = 8_700,
    token_file: Annotated[
        Path | None,
        typer.Option(help="File with the token; default $GEARING_TOKEN, else a new one, printed."),
    ] = None,
    logs: Annotated[Path, typer.Option(help="Folder of the decision logs, one for each bundle.")] = Path(
        "serve"
    ),
    fallback: Fallback = "hold",
    venue: Venue = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(help="A limit of every session, such as drawdown=0.2 or leverage=3; may be repeated."),
    ] = None,
    key: Key = None,
    max_age: MaxAge = None,
    max_jump: MaxJump = JUMP,
    max_outside: MaxOutside = OUTSIDE,
    largest_body: Annotated[int, typer.Option(help="Bytes of a request.", min=1_000)] = 16 * 2**20,
    most_bars: Annotated[
        int, typer.Option(help="Rows of bars, or of funding, of a request.", min=1)
    ] = 100_000,
    any_time: Annotated[
        bool,
        typer.Option(
            "--any-time", help="Let requests name another moment than the present: for back-testing."
        ),
    ] = False,
) -> None:
    """Serve decisions over HTTP; each is logged before it is answered.

    OpenAPI at /openapi.json and /docs, health at /health, readiness at /ready, metrics for Prometheus at /metrics.
    """
    from gearing.export.runtime import Limits
    from gearing.live.service.running import read_token, run_service
    from gearing.live.service.settings import ServiceSettings, served

    chosen = served(bundles)
    token, is_new = read_token(token_file, host)
    settings = ServiceSettings(
        token=token, logs=logs, fallback=fallback, key=key, venue=venue, limits=Limits.read(_limits(limit or [])),
        max_age=max_age, max_jump=max_jump, max_outside=max_outside, largest_body=largest_body, most_bars=most_bars,
        any_time=any_time,
    )  # fmt: skip
    for one in chosen:
        typer.echo(f"bundle      {one.name}  {one.folder}")
    if is_new:
        typer.echo(f"token       {token}  (new; --token-file or GEARING_TOKEN sets one)")
    typer.echo(f"serving     http://{host}:{port}  (OpenAPI at /docs, logs in {logs})")
    run_service(chosen, settings, host, port)


def _limits(given: list[str]) -> dict[str, Any]:
    """Limits from NAME=VALUE."""
    found: dict[str, Any] = {}
    for text in given:
        name, sign, value = text.partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            sign = ""
        if not sign:
            raise ValueError(f"--limit {text}: write NAME=NUMBER, as in drawdown=0.2.")
    return found


def watch(
    bundle: Bundle,
    account: Account,
    bars: Bars,
    funding: Funding = None,
    now: Annotated[str | None, typer.Option(help="The present, UTC (required).")] = None,
    max_age: MaxAge = None,
    session: Annotated[
        Path | None, typer.Option(help="Log of the session: its state, its limits and what of them is used.")
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            help="A limit, such as drawdown=0.2 or leverage=3; may be repeated; default the session's."
        ),
    ] = None,
    deviations: Annotated[
        float, typer.Option(help="Warn below this distance to liquidation, in deviations of a day.", min=0.0)
    ] = 3.0,
    probability: Annotated[
        float, typer.Option(help="Warn above this probability of liquidation within a day.", min=0.0, max=1.0)
    ] = 0.01,
    paid: Annotated[
        float,
        typer.Option(help="Warn of a payment of more than this share of equity, an hour before it.", min=0.0),
    ] = 0.0005,
    json_file: Json = None,
    plugins: Plugins = None,
) -> None:
    """Look at an account: distance to liquidation, funding that is due, limits used up, old data.

    Exits with 0 if there is nothing to warn of, with 1 after a warning, with 4 if it is critical.
    """
    from gearing.export.runtime import Limits, load_bundle
    from gearing.live.watching import Thresholds, watch as look
    from gearing.plugins import load_plugins

    load_plugins(plugins or ())
    found = look(
        load_bundle(bundle), account, bars, funding, now=now, max_age=max_age, session=session,
        limits=Limits.read(_limits(limit)) if limit else None,
        thresholds=Thresholds(deviations, probability, paid),
    )  # fmt: skip
    typer.echo(str(found))
    write_json(json_file, found.as_dict())
    raise typer.Exit(found.exit_code)
