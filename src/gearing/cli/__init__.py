"""The `gearing` command.

Settings are those of experiment files, ``section.key=value``, for every command. Each command imports what it needs
when it runs, so that `gearing --help` is fast.
"""

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from gearing.cli.data import data
from gearing.cli.deciding import decide, replay
from gearing.cli.exporting import export
from gearing.cli.failures import STOPPED, explained, how_to_go_on
from gearing.cli.listing import list_names
from gearing.cli.live import paper, serve, watch
from gearing.cli.policies import SECTIONS, complete_rule, split_settings, with_own_settings
from gearing.cli.promote import promote
from gearing.cli.reconcile import reconcile
from gearing.cli.safest import safest_leverage
from gearing.cli.shared import Experiment, Json, Plugins, Settings, ad_hoc, data_line, writable, write_json
from gearing.cli.submit import submit
from gearing.plugins import users_frame

app = typer.Typer(
    name="gearing",
    pretty_exceptions_enable=False,
)
app.add_typer(data, name="data")
app.command()(export)
app.command()(decide)
app.command()(replay)
app.command()(reconcile)
app.command("safest-leverage")(safest_leverage)
app.command()(paper)
app.command()(serve)
app.command()(watch)
app.command("list")(list_names)
app.command()(submit)
app.command()(promote)


def main() -> None:
    """Run the command line; `gearing.cli.failures` says what a failure prints and the exit codes."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Exit code of the command with these arguments; a failure prints one message instead of a traceback."""
    given = [argument for argument in arguments if argument != "--debug"]
    code: Any = 0
    try:
        code = app(given, standalone_mode=False)
    except KeyboardInterrupt:
        code = STOPPED
    except (Exception, SystemExit) as error:
        if isinstance(error, SystemExit) and users_frame(error) is None:
            raise  # tab completion ends so; a user's code that calls sys.exit has failed, even with 0
        if len(given) < len(arguments) or os.environ.get("GEARING_DEBUG", "0") != "0":
            traceback.print_exc()
        code, message = explained(error)
        typer.secho(f"error: {message}", fg="red", err=True)
    if code == STOPPED:
        typer.echo(how_to_go_on(given), err=True)
    return code if isinstance(code, int) else 0


def _version(requested: bool) -> None:
    if requested:
        import gearing

        typer.echo(gearing.__version__)
        raise typer.Exit


@app.callback(invoke_without_command=True)
def gearing_command(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the installed version.", callback=_version, is_eager=True),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Print tracebacks of errors, as GEARING_DEBUG=1 does.")
    ] = False,  # `run` reads it, wherever it stands
) -> None:
    """Learn and evaluate leverage on perpetual futures."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def version() -> None:
    """Print the installed version."""
    _version(True)


@app.command()
def show(experiment: Experiment, settings: Settings = None, plugins: Plugins = None) -> None:
    """Check an experiment and print it with its defaults; the output can be run."""
    from gearing.studies import load_config

    typer.echo(load_config(experiment, settings or [], plugins=plugins or ()).to_yaml(), nl=False)


@app.command()
def forecast(
    experiment: Experiment,
    settings: Settings = None,
    json_file: Json = None,
    tracked: Annotated[bool, typer.Option("--track/--no-track", help="Record the run in MLflow.")] = True,
    plugins: Plugins = None,
) -> None:
    """Evaluate an experiment's volatility forecasters out of sample and choose one; `study` does the same."""
    from gearing.studies import load_config
    from gearing.studies.runner import run_study

    changes = [*(settings or []), *([] if tracked else ["tracking.enabled=false"])]
    config = load_config(experiment, changes, plugins=plugins or ())
    if config.kind not in ("forecast", "volatility_unseen"):
        raise ValueError(
            f"{experiment} is an experiment of kind {config.kind!r}; run it with `gearing study`."
        )
    done = run_study(config, progress=True)
    _shown(done, json_file)


def _shown(done: Any, json_file: Path | None) -> None:
    """Print what an experiment found; exit with 1 if trials failed or the tracker has not got all records."""
    typer.echo(f"\n{done.summary}")
    write_json(json_file, done.as_dict())
    problems = [text for text in (done.warning, done.undelivered) if text is not None]
    for text in problems:
        typer.echo(text, err=True)
    if problems:
        raise typer.Exit(1)


@app.command()
def backtest(
    policy: Annotated[
        str,
        typer.Argument(
            help="A rule (fixed_3x, tiered, volatility_weighted, ...; `gearing list rules` prints all), a class "
            "of your own (module:Class or file.py:Class), a model of stable-baselines3 (model.zip), or a folder with a "
            "bundle or a trial of a study.",
            autocompletion=complete_rule,
        ),
    ],
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Settings of the rule, such as low=3, and of the sections market, decision, exchange, controls and "
            "forecast, such as market.contracts=[ETHUSDT] decision.margin_share=0.1",
        ),
    ] = None,
    json_file: Json = None,
    ledger: Annotated[
        Path | None, typer.Option(help="Write the ledger to this Parquet file.", callback=writable)
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Write a self-contained HTML report to this file.", callback=writable),
    ] = None,
    scenarios: Annotated[
        bool,
        typer.Option(
            "--scenarios",
            help="Also fixed leverage with the same mean, a breakdown by regime, laxer rules, stress tests and "
            "capacity.",
        ),
    ] = False,
    columns: Annotated[
        list[Path] | None,
        typer.Option(
            help="Table with columns of your own (CSV, Parquet): time is the moment from which a row is known, UTC, or "
            "open_time its bar; symbol is optional. Then column=NAME or decision.direction=signal:NAME reads one. May "
            "be repeated.",
        ),
    ] = None,
    plugins: Plugins = None,
) -> None:
    """Run one rule over a market and print a table; optionally write the ledger and a report.

    The market is the data folder that market.folder or else GEARING_DATA names; without both, a generated one.

    For example: gearing backtest volatility_weighted low=2 high=6 market.folder=data decision.margin_share=0.1
    "controls=[{control: stop_loss, margin: 0.5}]" --report btc.html --scenarios
    """
    from gearing.evaluation.backtesting import backtest as run
    from gearing.evaluation.columns import policy_table
    from gearing.evaluation.own_columns import columns_from_file
    from gearing.evaluation.reports.tables import comparison, controls_table, fitted, printed
    from gearing.plugins import load_plugins
    from gearing.simulation.config import SimulationConfig
    from gearing.studies.named.folder import notes_on
    from gearing.studies.named.policy import named_policy

    load_plugins(plugins or ())
    added = [f"columns     {', '.join(columns_from_file(path))} of {path}" for path in columns or ()]
    own, others = split_settings(policy, settings or [])
    rule = named_policy(policy, own)
    config = ad_hoc("backtest", others, SECTIONS, plugins)
    market = config.market.open()
    forecast = config.forecast.arguments if config.forecast else None
    account = with_own_settings(policy, rule, config.simulation_settings(), others)
    table = policy_table(rule, market, None, SimulationConfig(**account), forecast)
    name = " ".join([policy, *(f"{key}={value}" for key, value in own.items())])
    result = run(rule, market, table, name=name, **account)
    compared, sections = [], {}
    if scenarios:
        from gearing.evaluation.comparisons.matched_fixed import matched_fixed
        from gearing.evaluation.reports.report import trader_sections

        compared = [matched_fixed(result, market, table).same_leverage]
        sections = trader_sections(rule, market, table, result)
    notes = [f"  note: {note}" for note in (*market.notes, *notes_on(rule, market, table))]
    typer.echo("\n".join([*data_line(others), *added, str(market), *notes, result.span, ""]))
    typer.echo(fitted(printed(comparison([result, *compared]))))
    for heading, section in sections.items():
        typer.echo(f"\n{heading}\n{fitted(section)}")
    if config.controls:
        typer.echo(f"\n{fitted(controls_table(result))}")
    if ledger is not None:
        result.ledger.to_parquet(ledger)
    if report is not None:
        from gearing.evaluation.reports.report import html_report

        typer.echo(f"report      {html_report(result, report, others=compared, sections=sections)}")
    write_json(json_file, dict(result.row))


@app.command()
def study(
    experiment: Experiment,
    settings: Settings = None,
    jobs: Annotated[
        int | None, typer.Option(help="Trials that run side by side; default: the experiment's.")
    ] = None,
    engine: Annotated[
        str | None, typer.Option(help="Where trials run: local (processes of this machine) or ray.")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="Ray cluster, as in 10.0.0.1:6379; default: one on this machine.")
    ] = None,
    reuse: Annotated[
        bool | None,
        typer.Option("--reuse", help="Reuse results of other code versions, marked in the tables."),
    ] = None,
    json_file: Json = None,
    plugins: Plugins = None,
) -> None:
    """Run an experiment of any kind, reusing finished trials: tables, figures, tracked runs and bundle."""
    from gearing.studies import load_config
    from gearing.studies.runner import run_study

    flags = {"engine": engine, "address": address}
    changes = [f"{name}={value}" for name, value in flags.items() if value is not None]
    config = load_config(experiment, [*(settings or []), *changes], plugins=plugins or ())
    done = run_study(config, jobs=jobs, reuse=reuse, progress=True)
    _shown(done, json_file)


@app.command()
def compare(
    study_folders: Annotated[list[Path], typer.Argument(help="Folders of finished studies.")],
    baseline: Annotated[
        str | None, typer.Option(help="Policy that others are compared with; default: the first study's.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Write every table (CSV) and figure (PNG) of the comparison to this folder."),
    ] = None,
    json_file: Json = None,
) -> None:
    """Compare the policies of finished studies: leaderboards, and scores over tasks and seeds with intervals."""
    from gearing.evaluation.reports.comparison_tables import comparison_tables
    from gearing.evaluation.reports.tables import fitted, printed, span_note
    from gearing.studies.comparing.compare import compare as compared
    from gearing.studies.comparing.writing import write_comparison
    from gearing.studies.reporting.conclusions import conclusions_of
    from gearing.studies.study.run import LEADERBOARD, TABLE, read_leaderboards

    comparison = compared(study_folders, baseline=baseline)
    boards = read_leaderboards(one for one in study_folders if (one / f"{LEADERBOARD}.csv").is_file())
    if not boards.empty:
        board = boards.droplevel("study") if len(study_folders) == 1 else boards
        typer.echo(f"{fitted(printed(board, TABLE))}\n")
    typer.echo(
        "\n\n".join(f"{name}\n{fitted(table)}" for name, table in comparison_tables(comparison).items())
    )
    sentences = conclusions_of(comparison)
    notes = [*([span_note(boards)] if span_note(boards) else []), *comparison.remarks]
    for heading, lines in (("", notes), ("", sentences.can), ("Open:", sentences.cannot)):
        if lines:
            typer.echo("\n".join(["", *([heading] if heading else []), *(f"* {line}" for line in lines)]))
    if output is not None:
        write_comparison(comparison, output)
        typer.echo(f"\ncomparison  {output}")
    tables = {"leaderboards": boards, **comparison.tables}
    write_json(json_file, {name: table.reset_index().to_dict("records") for name, table in tables.items()})


@app.command()
def report(
    study_folder: Annotated[
        Path, typer.Argument(help="Folder of a finished experiment, as `gearing study` prints it.")
    ],
    output: Annotated[
        Path | None, typer.Option(help="Write to this folder instead of the experiment's.")
    ] = None,
) -> None:
    """Write the report of a finished experiment again: report.html, which needs no other file, and report.md."""
    from gearing.studies.reporting.pages import write_report

    for path in write_report(study_folder, output):
        typer.echo(f"report      {path}")
