"""Arguments that commands share, experiments from the command line, results as JSON."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from gearing.studies import StudyConfig

DATA_VARIABLE = "GEARING_DATA"
# Keys of the section market that choose among the history in a folder; the others name or describe a market.
_OF_HISTORY = {
    "venue",
    "contracts",
    "bar",
    "from",
    "to",
    "missing_mark",
    "missing_funding",
    "missing_tiers",
    "finer",
}


def writable(path: Path | None) -> Path | None:
    """Refuse a file that could not be written, before anything is computed."""
    if path is None:
        return None
    if path.is_dir():
        raise typer.BadParameter(f"{path} is a folder; name a file, as in {path / 'result'}.")
    if not path.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {path.parent}. Make it first, or choose another.")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise typer.BadParameter(f"{path} cannot be written: permission denied. Choose another place.")
    return path


Settings = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="Settings as an experiment file has them, for example market.folder=data decision.margin_share=0.1",
    ),
]
Experiment = Annotated[Path, typer.Argument(help="Experiment, a YAML file; experiments/ has examples.")]
Json = Annotated[
    Path | None,
    typer.Option("--json", help="Also write the result to this file, as JSON.", callback=writable),
]
Plugins = Annotated[
    list[str] | None,
    typer.Option(
        "--plugins",
        help="Module or file with rules, features, rewards or forecasters of your own, as in my_rules.py; may be "
        "repeated.",
    ),
]

# Of a decision, for all commands that make some.
JUMP, OUTSIDE = "30", "0.5"  # as in gearing.export, which is not imported for --help
Bundle = Annotated[Path, typer.Argument(help="Folder written by `gearing export` or a study.")]
Bars = Annotated[Path, typer.Option(help="Recent bars: CSV, JSON (klines of a venue) or Parquet.")]
Account = Annotated[Path, typer.Option(help="Account, JSON: our format or the venue's answers.")]
Funding = Annotated[Path | None, typer.Option(help="Recent settlements: CSV, JSON or Parquet.")]
MaxAge = Annotated[
    str | None, typer.Option(help="Longest time from the newest closed bar to the moment; default 1bar.")
]
MaxJump = Annotated[
    str, typer.Option(help="Largest move of a price, in standard deviations of a bar; or 'off'.")
]
MaxOutside = Annotated[
    str, typer.Option(help="How far outside the ranges of training, as a share of them; or 'off'.")
]
Venue = Annotated[str | None, typer.Option(help="List the calls of binance-usdm, bybit or okx.")]
Fallback = Annotated[
    str, typer.Option(help="What a refused decision does: hold, flat, or reduce:2 to twice the equity.")
]
Key = Annotated[
    str | None,
    typer.Option(help="Refuse a bundle that this public ed25519 key (hex, or a file) does not verify."),
]


def ad_hoc(
    command: str,
    settings: Iterable[str],
    sections: Iterable[str],
    plugins: Iterable[str] | None = None,
    rule: str = "fixed_1x",
) -> StudyConfig:
    """An experiment of one rule, from command-line settings.

    Parameters
    ----------
    settings : iterable of str
        ``section.key=value``, of these ``sections`` only.
    rule : str
        A registered one.

    Notes
    -----
    Where no market is named, the data folder in ``GEARING_DATA`` is read; the command prints it.
    """
    from gearing.names import check_names
    from gearing.studies.study.config import load_study

    settings, sections = list(settings), list(sections)
    given = [setting.partition("=")[0].partition(".")[0] for setting in settings]
    check_names(f"`gearing {command}` has no setting", given, sections)
    market = {"folder": _data_folder()} if reads_data_variable(settings) else {}
    values = {"name": command, "rules": {"policy": {"rule": rule}}, "market": market}
    return load_study(values, settings, source=f"gearing {command}", plugins=plugins or ())


def reads_data_variable(settings: Iterable[str]) -> bool:
    """Whether the market is the folder that ``GEARING_DATA`` names: no setting names or describes another."""
    if not os.environ.get(DATA_VARIABLE):
        return False
    keys = {setting.partition("=")[0] for setting in settings}
    of_market = {key.partition(".")[2] for key in keys if key.split(".")[0] == "market"}
    return of_market <= _OF_HISTORY


def _data_folder() -> str:
    folder = os.environ[DATA_VARIABLE]
    if not Path(folder).is_dir():
        raise ValueError(
            f"{DATA_VARIABLE} names {folder}, which is no folder. Change it, or give market.folder=FOLDER; "
            "market.folder=null generates a market."
        )
    return folder


def data_line(settings: Iterable[str]) -> list[str]:
    """The line that says that ``GEARING_DATA`` was read."""
    return (
        [f"data        {os.environ[DATA_VARIABLE]} (from {DATA_VARIABLE})"]
        if reads_data_variable(settings)
        else []
    )


def write_json(json_file: Path | None, values: Mapping[str, Any]) -> None:
    """Write a result to the given file, if any, as strict JSON: a number that is not finite becomes null."""
    if json_file is not None:
        from gearing.storage.atomic import write_text

        write_text(
            json_file, json.dumps(_plain(values), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        )


def _plain(value: Any) -> Any:
    """The same in types of JSON; times and paths are text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist") and not hasattr(value, "isoformat"):  # of NumPy
        plain = value.tolist()
        return (
            str(value) if "datetime" in str(value.dtype) or "timedelta" in str(value.dtype) else _plain(plain)
        )
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
