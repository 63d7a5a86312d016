"""The `gearing` command.

Settings are those of experiment files, ``section.key=value``, for every command. Each command imports what it needs
when it runs, so that `gearing --help` is fast.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from gearing.cli.data import data
from gearing.cli.reconcile import reconcile
from gearing.cli.shared import Experiment, Json, Settings, ad_hoc, write_json

app = typer.Typer(
    name="gearing",
    help="Learn and evaluate leverage on perpetual futures.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(data, name="data")
app.command()(reconcile)


def main() -> None:
    """Run the command line; invalid input prints one message instead of a traceback."""
    try:
        app()
    except (ValueError, OSError) as error:
        typer.secho(f"error: {error}", fg="red", err=True)
        sys.exit(2)
    except ModuleNotFoundError as error:
        typer.secho(f"error: {error}. {_missing(error)}", fg="red", err=True)
        sys.exit(2)


@app.command()
def version() -> None:
    """Print the installed version."""
    import gearing

    typer.echo(gearing.__version__)


@app.command()
def show(experiment: Experiment, settings: Settings = None) -> None:
    """Check an experiment and print it with its defaults; the output can be run."""
    from gearing.studies import load_config

    typer.echo(load_config(experiment, settings or []).to_yaml(), nl=False)


@app.command()
def forecast(
    experiment: Experiment,
    settings: Settings = None,
    json_file: Json = None,
    tracked: Annotated[bool, typer.Option("--track/--no-track", help="Record the run in MLflow.")] = True,
) -> None:
    """Evaluate an experiment's volatility forecasters out of sample and choose one; `study` does the same."""
    from gearing.studies import load_config
    from gearing.studies.runner import run_study

    config = load_config(experiment, [*(settings or []), *([] if tracked else ["tracking.enabled=false"])])
    if config.kind != "forecast":
        raise ValueError(
            f"{experiment} is an experiment of kind {config.kind!r}; run it with `gearing study`."
        )
    done = run_study(config, progress=True)
    typer.echo(f"\n{done.summary}")
    write_json(json_file, done.as_dict())


@app.command()
def backtest(
    policy: Annotated[str, typer.Argument(help="A rule: fixed_3x, tiered, volatility_weighted, ...")],
    settings: Settings = None,
    json_file: Json = None,
    ledger: Annotated[Path | None, typer.Option(help="Write the ledger to this Parquet file.")] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write a self-contained HTML report to this file.")
    ] = None,
    scenarios: Annotated[
        bool,
        typer.Option(
            "--scenarios",
            help="Also fixed leverage with the same mean, a breakdown by regime, laxer rules, stress tests and "
            "capacity.",
        ),
    ] = False,
) -> None:
    """Run one rule over a market and print a table; optionally write the ledger and a report.

    For example: gearing backtest volatility_weighted market.folder=data decision.margin_share=0.1
    "controls=[{control: stop_loss, margin: 0.5}]" --report btc.html --scenarios
    """
    from gearing.evaluation.backtesting import backtest as run
    from gearing.evaluation.columns import policy_table
    from gearing.evaluation.reports.tables import comparison, printed
    from gearing.policies.registry import make_rule

    config = ad_hoc("backtest", policy, settings)
    rule = make_rule(policy)
    market = config.market.open()
    forecast = config.forecast.arguments if config.forecast else None
    table = policy_table(rule, market, None, config.simulation(), forecast)
    result = run(rule, market, table, name=policy, **config.simulation_settings())
    others, sections = [], {}
    if scenarios:
        from gearing.evaluation.comparisons.matched_fixed import matched_fixed
        from gearing.evaluation.reports.report import trader_sections

        others = [matched_fixed(result, market, table).same_leverage]
        sections = trader_sections(rule, market, table, result)
    typer.echo("\n".join([str(market), *(f"  note: {note}" for note in market.notes), result.span, ""]))
    typer.echo(printed(comparison([result, *others])).to_string())
    for heading, section in sections.items():
        typer.echo(f"\n{heading}\n{section.to_string()}")
    if config.controls:
        typer.echo(f"\n{result.control_report.to_string()}")
    if ledger is not None:
        result.ledger.to_parquet(ledger)
    if report is not None:
        from gearing.evaluation.reports.report import html_report

        typer.echo(f"report      {html_report(result, report, others=others, sections=sections)}")
    write_json(json_file, dict(result.row))


@app.command()
def study(
    experiment: Experiment,
    settings: Settings = None,
    jobs: Annotated[int | None, typer.Option(help="Number of processes; default: the experiment's.")] = None,
    reuse: Annotated[
        bool | None,
        typer.Option("--reuse", help="Reuse results of other code versions, marked in the tables."),
    ] = None,
    json_file: Json = None,
) -> None:
    """Run an experiment of any kind, reusing finished trials: tables, figures, tracked runs and bundle."""
    from gearing.studies.runner import run_study

    done = run_study(experiment, settings or [], jobs=jobs, reuse=reuse, progress=True)
    typer.echo(f"\n{done.summary}")
    write_json(json_file, done.as_dict())


@app.command()
def compare(
    study_folders: Annotated[list[Path], typer.Argument(help="Folders of finished studies.")],
    json_file: Json = None,
) -> None:
    """Print the leaderboards of several studies in one table."""
    from gearing.evaluation.reports.tables import printed
    from gearing.studies.study.run import TABLE, read_leaderboards

    board = read_leaderboards(study_folders)
    typer.echo(printed(board, TABLE).to_string())
    rows = {f"{study} / {policy}": board.loc[(study, policy)].to_dict() for study, policy in board.index}
    write_json(json_file, rows)


@app.command()
def export(
    study_folder: Annotated[
        Path, typer.Argument(help="Folder of a finished study, as `gearing study` prints it.")
    ],
    agent: Annotated[
        str | None, typer.Option(help="Agent to export; required if the study trained several.")
    ] = None,
) -> None:
    """Write the bundle of a study's agent, the seed with the best validation score."""
    from gearing.studies.study.exporting import export_from_folder

    typer.echo(f"bundle      {export_from_folder(study_folder, agent)}")


@app.command()
def decide(
    bundle: Annotated[Path, typer.Argument(help="Folder written by `gearing export` or a study.")],
    bars: Annotated[Path, typer.Option(help="Recent bars, CSV or Parquet.")],
    account: Annotated[Path, typer.Option(help="Account state, JSON.")],
    funding: Annotated[Path | None, typer.Option(help="Recent funding settlements, CSV or Parquet.")] = None,
    now: Annotated[
        str | None,
        typer.Option(
            help="Moment of the decision, UTC (required); 'last-bar' decides at the end of the bars, however old."
        ),
    ] = None,
    max_age: Annotated[
        str | None, typer.Option(help="Longest time from the newest closed bar to the moment; default 1bar.")
    ] = None,
    max_jump: Annotated[
        str, typer.Option(help="Largest move of a price, in standard deviations of a bar; or 'off'.")
    ] = "30",
    last: Annotated[
        Path | None, typer.Option(help="JSON of the previous decision, to continue its memory.")
    ] = None,
    json_file: Json = None,
) -> None:
    """Print the target leverage of an exported policy; needs no training libraries."""
    from gearing.export.decision import memory_of
    from gearing.export.runtime import load_bundle

    memory = None if last is None else memory_of(last)
    decision = load_bundle(bundle).decide(
        bars, account, funding, now=now, max_age=max_age, max_jump=max_jump, memory=memory
    )
    typer.echo(str(decision))
    write_json(json_file, decision.as_dict())


_EXTRAS = {
    "forecast": "sklearn lightgbm arch", "train": "torch stable_baselines3 sb3_contrib", "track": "mlflow",
    "export": "onnx", "runtime": "onnxruntime", "plots": "matplotlib jinja2", "data": "httpx ccxt",
}  # fmt: skip


def _missing(error: ModuleNotFoundError) -> str:
    library = (error.name or "").partition(".")[0]
    extra = next((name for name, libraries in _EXTRAS.items() if library in libraries.split()), None)
    return f'Install it with: pip install "gearing[{extra}]"' if extra else "Is the installation complete?"
