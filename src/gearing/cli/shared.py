"""Arguments that commands share, experiments from the command line, results as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from gearing.studies import StudyConfig

Settings = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="For example market.folder=data decision.margin_share=0.1"),
]
Experiment = Annotated[Path, typer.Argument(help="YAML file, see experiments/")]
Json = Annotated[Path | None, typer.Option("--json", help="Also write the result to this file.")]


def ad_hoc(name: str, rule: str, settings: list[str] | None) -> StudyConfig:
    """An experiment of one rule, from command-line settings."""
    from gearing.studies.study.config import load_study

    return load_study({"name": name, "rules": [rule]}, settings or [], source=f"gearing {name}")


def write_json(json_file: Path | None, values: Mapping[str, Any]) -> None:
    """Write a result to the given file, if any."""
    if json_file is not None:
        json_file.write_text(json.dumps(values, indent=2, default=str) + "\n")
