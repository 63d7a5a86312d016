"""The `gearing` command: a thin face of the functions that do the work.

Settings are words of the experiment files, ``section.key=value``, whatever the command. Each command imports
what it needs when it runs, so that `gearing --help` answers at once.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from gearing.studies import StudyConfig

app = typer.Typer(
    name="gearing",
    help="Learn and judge leverage on perpetual futures.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
data = typer.Typer(help="Market data: what there is, and whether it is sound.", no_args_is_help=True)
app.add_typer(data, name="data")

Settings = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="For example market.folder=data decision.margin_share=0.1"),
]
Experiment = Annotated[Path, typer.Argument(help="YAML file, see experiments/")]
Json = Annotated[Path | None, typer.Option("--json", help="Also write the result to this file.")]


def main() -> None:
    """Run the command line; a mistake in what was given ends in one message, not in a traceback."""
    try:
        app()
    except (ValueError, FileNotFoundError) as error:
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
    """Check an experiment and print the whole of it, defaults written out; the output runs again."""
    from gearing.studies import load_config

    typer.echo(load_config(experiment, settings or []).to_yaml(), nl=False)


@data.command("describe")
def describe_data(settings: Settings = None, json_file: Json = None) -> None:
    """Stylised facts of a market beside those that bitcoin and ether have shown."""
    from gearing.market.facts import describe

    config = _ad_hoc("describe", "fixed_1x", settings)
    market = config.market.open()
    typer.echo(repr(market))
    for note in market.notes:
        typer.echo(f"  {note}")
    facts = describe(market)
    typer.echo(facts.to_string(float_format=lambda value: f"{value:.3g}"))
    _write(
        json_file, {"market": repr(market), "notes": list(market.notes), "facts": facts["value"].to_dict()}
    )


@data.command("check")
def check_data(
    folder: Annotated[Path | None, typer.Argument(help="Data folder; default $GEARING_DATA.")] = None,
    symbol: Annotated[list[str] | None, typer.Option(help="Only this contract; may be repeated.")] = None,
    json_file: Json = None,
) -> None:
    """Say what a data folder holds and what is wrong with it; exits with 1 if a file cannot be used."""
    from gearing.market.check import check_folder

    report = check_folder(folder, symbols=symbol)
    typer.echo(report.file_table().to_string(index=False))
    typer.echo(f"\n{report.table().to_string(index=False, max_colwidth=90)}\n\n{report}")
    _write(json_file, report.to_dict())
    raise typer.Exit(report.exit_code)


@data.command("fetch")
def fetch_data(
    symbols: Annotated[list[str], typer.Argument(help="Contracts, such as BTCUSDT ETHUSDT")],
    folder: Annotated[
        Path | None, typer.Option(help="Data folder; default $GEARING_DATA, else data.")
    ] = None,
    bar: Annotated[str, typer.Option(help="Length of the bars.")] = "1h",
    start: Annotated[str, typer.Option("--from", help="First day, UTC.")] = "2020-01-01",
    end: Annotated[str | None, typer.Option("--to", help="First day left out; default today.")] = None,
    kind: Annotated[
        list[str] | None, typer.Option(help="klines, mark, funding (default); index, metrics, book-depth")
    ] = None,
    venue: Annotated[str, typer.Option(help="binance, whose public archive is read.")] = "binance",
    base_url: Annotated[str | None, typer.Option(help="Another address of the archive.")] = None,
    workers: Annotated[int, typer.Option(help="Files fetched at a time.")] = 4,
    json_file: Json = None,
) -> None:
    """Download history; what is there and whole is not fetched again. Exits with 1 if a file failed."""
    import os

    from rich.progress import Progress

    from gearing.market.download import DEFAULT_KINDS, fetch
    from gearing.market.fetching import FetchSettings

    address = FetchSettings(workers=workers) if base_url is None else FetchSettings(base_url, workers)
    target = folder or Path(os.environ.get("GEARING_DATA", "data"))
    first = f"{start}-01" if start.count("-") == 1 else start
    with Progress(transient=True) as bars:
        task = bars.add_task("archive files", total=None)
        report = fetch(
            symbols, target, bar, first, end, tuple(kind or DEFAULT_KINDS),
            "binance-um" if venue == "binance" else venue, address,
            progress=lambda outcome, done, total: bars.update(task, completed=done, total=total),
        )  # fmt: skip
    typer.echo(f"{report} in {target}")
    for outcome in report.failed:
        typer.secho(f"failed      {outcome.path}: {outcome.detail}", fg="red", err=True)
    _write(json_file, report.to_dict())
    raise typer.Exit(report.exit_code)


@data.command("import")
def import_data(
    freqtrade: Annotated[
        Path | None, typer.Option(help="freqtrade's data folder (user_data/data/binance).")
    ] = None,
    table: Annotated[Path | None, typer.Option(help="A CSV or Parquet table; needs --symbol.")] = None,
    symbol: Annotated[str | None, typer.Option(help="Contract of the table.")] = None,
    kind: Annotated[str, typer.Option(help="last, mark, index or funding.")] = "last",
    bar: Annotated[str, typer.Option(help="Length of the table's bars.")] = "1h",
    column: Annotated[list[str] | None, typer.Option(help="OURS=THEIRS, such as open_time=date.")] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Data folder; default $GEARING_DATA, else data.")
    ] = None,
) -> None:
    """Bring data of other programs into the folder layout."""
    import os

    from gearing.market.importing import import_freqtrade, import_table

    target = folder or Path(os.environ.get("GEARING_DATA", "data"))
    if (freqtrade is None) == (table is None):
        raise ValueError("give either --freqtrade FOLDER or --table FILE.")
    if freqtrade is not None:
        written = import_freqtrade(freqtrade, target)
    else:
        if symbol is None:
            raise ValueError("--table needs --symbol: which contract the table is of.")
        assert table is not None
        written = [import_table(table, target, symbol, kind, bar, _mapping(column or []))]
    for name in written:
        typer.echo(f"wrote       {target / name}")


def _mapping(columns: list[str]) -> dict[str, str]:
    for text in columns:
        if "=" not in text:
            raise ValueError(f"--column {text!r} has no '='; write OURS=THEIRS, such as open_time=date.")
    return dict(text.split("=", 1) for text in columns)


@app.command()
def forecast(
    experiment: Experiment,
    settings: Settings = None,
    json_file: Json = None,
    tracked: Annotated[bool, typer.Option("--track/--no-track", help="Record the run in MLflow.")] = True,
) -> None:
    """Walk an experiment's volatility forecasters through its markets, score them out of sample and choose one."""
    from gearing.studies.forecasting import run_tracked_forecast

    report = run_tracked_forecast(experiment, settings or [], tracked=tracked, progress=True)
    typer.echo(f"{report}\n\n{report.line}")
    _write(json_file, report.to_dict())


@app.command()
def backtest(
    policy: Annotated[str, typer.Argument(help="A rule: fixed_3x, tiered, volatility_weighted, ...")],
    settings: Settings = None,
    json_file: Json = None,
    ledger: Annotated[Path | None, typer.Option(help="Write the ledger to this Parquet file.")] = None,
) -> None:
    """Run one rule over a market."""
    from gearing.evaluation.backtest import backtest as run
    from gearing.evaluation.tables import printed
    from gearing.policies.registry import make_rule
    from gearing.studies.forecasting import feature_table

    config = _ad_hoc("backtest", policy, settings)
    rule = make_rule(policy)
    market = config.market.open()
    table = feature_table(config, market, rule.required_columns)
    result = run(rule, market, table, name=policy, **config.simulation_settings())
    typer.echo(printed(result.table).to_string())
    if ledger is not None:
        result.ledger.to_parquet(ledger)
    _write(json_file, dict(result.row))


@app.command()
def study(
    experiment: Experiment,
    settings: Settings = None,
    jobs: Annotated[int, typer.Option(help="Agents trained side by side, in processes.")] = 1,
    json_file: Json = None,
) -> None:
    """Run an experiment, or what is missing of it: train, validate, judge, track, export."""
    from gearing.studies.study import run_study

    done = run_study(experiment, settings or [], jobs=jobs, progress=True)
    typer.echo(f"\n{done.table.to_string()}\n")
    for path in done.figures:
        typer.echo(f"figure      {path}")
    typer.echo(f"results     {done.folder}")
    if done.tracking is not None:
        typer.echo(f"runs        {done.tracking}")
    if done.bundle is not None:
        inputs = done.folder / "decide"
        typer.echo(
            f"bundle      {done.bundle}\n"
            f"decide      gearing decide {done.bundle} --bars {inputs}/bars.parquet --funding {inputs}/funding.parquet "
            f"--account {inputs}/account.json\n\n{done.decision}"
        )
    _write(json_file, {"folder": str(done.folder), "leaderboard": done.leaderboard.to_dict(orient="index")})


@app.command()
def export(
    study_folder: Annotated[
        Path, typer.Argument(help="Folder of a finished study, as `gearing study` prints it.")
    ],
    agent: Annotated[
        str | None, typer.Option(help="Which agent; needed where the study trained several.")
    ] = None,
) -> None:
    """Write the bundle of an agent that a study trained: the seed that did best on validation."""
    from gearing.studies.exporting import export_from_folder

    typer.echo(f"bundle      {export_from_folder(study_folder, agent)}")


@app.command()
def decide(
    bundle: Annotated[Path, typer.Argument(help="Folder written by `gearing export` or a study.")],
    bars: Annotated[Path, typer.Option(help="Recent bars, CSV or Parquet.")],
    account: Annotated[Path, typer.Option(help="Account state, JSON.")],
    funding: Annotated[Path | None, typer.Option(help="Recent funding settlements, CSV or Parquet.")] = None,
    now: Annotated[str | None, typer.Option(help="Moment of the decision, UTC; refuses stale bars.")] = None,
    json_file: Json = None,
) -> None:
    """Print the target leverage that an exported policy asks for; needs nothing of the training stack."""
    from gearing.export.runtime import load_bundle

    answer = load_bundle(bundle).decide(bars, account, funding, now=now)
    typer.echo(str(answer))
    _write(json_file, answer.as_dict())


def _ad_hoc(name: str, rule: str, settings: list[str] | None) -> StudyConfig:
    """An experiment of one rule, from the command line alone."""
    from gearing.studies.reading import config_from

    return config_from({"name": name, "rules": [rule]}, settings or [], source=f"gearing {name}")


def _write(json_file: Path | None, values: Mapping[str, Any]) -> None:
    if json_file is not None:
        json_file.write_text(json.dumps(values, indent=2, default=str) + "\n")


def _missing(error: ModuleNotFoundError) -> str:
    extras = {
        "sklearn": "forecast",
        "lightgbm": "forecast",
        "arch": "forecast",
        "torch": "train",
        "stable_baselines3": "train",
        "sb3_contrib": "train",
        "mlflow": "track",
        "onnx": "export",
        "onnxruntime": "runtime",
        "matplotlib": "plots",
        "plotly": "plots",
        "httpx": "data",
        "ccxt": "data",
    }
    extra = extras.get((error.name or "").partition(".")[0])
    return f'Install it with: pip install "gearing[{extra}]"' if extra else "Is the installation complete?"


if __name__ == "__main__":
    main()
