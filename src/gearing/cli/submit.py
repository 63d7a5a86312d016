"""`gearing submit`: play the tasks of the leaderboard with a policy, and take rows into its page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gearing.cli.shared import Plugins, writable


def submit(
    policy: Annotated[
        str | None,
        typer.Argument(
            help="A class of your own (module:Class, file.py:Class), a model of stable-baselines3 (model.zip), a rule."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Settings of the policy, such as leverage=3; output=FOLDER, jobs=N.",
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the entry; by default the policy's.")] = None,
    task: Annotated[list[str] | None, typer.Option(help="Only this task; may be repeated.")] = None,
    row_file: Annotated[
        Path | None, typer.Option("--row", help="Write the row to this file, to send in.", callback=writable)
    ] = None,
    add: Annotated[
        list[Path] | None,
        typer.Option(help="Take this row into the leaderboard and its page; may be repeated."),
    ] = None,
    references: Annotated[
        bool,
        typer.Option(
            "--references", help="Play the rules and agents that the tasks name, and add their rows."
        ),
    ] = False,
    folder: Annotated[Path, typer.Option(help="Folder of the tasks.")] = Path("experiments/leaderboard"),
    page: Annotated[Path, typer.Option(help="Page of the leaderboard.")] = Path("docs/leaderboard.md"),
    plugins: Plugins = None,
) -> None:
    """Play the tasks of the leaderboard with a policy and print its row; --add takes rows into the page.

    For example: gearing submit my_policy.py:Mine leverage=3 --row mine.json
    """
    from gearing.plugins import load_plugins
    from gearing.studies.leaderboard.page import ROWS, add_rows
    from gearing.studies.leaderboard.rows import read_rows, write_row
    from gearing.studies.leaderboard.submitting import reference_rows
    from gearing.studies.leaderboard.tasks import read_tasks

    if references and policy is not None and "=" in policy:  # a setting of the tasks, such as jobs=2
        settings, policy = [policy, *(settings or [])], None
    if not policy and not add and not references:
        raise typer.BadParameter("name a policy to submit, or a row to add: --add FILE.")
    load_plugins(plugins or ())
    tasks = read_tasks(folder, task)
    if policy:
        row = _row(policy, settings or [], tasks, name)
        path = row_file or Path(f"{row['name']}.json")
        typer.echo(f"row         {write_row(row, path)} (gearing submit --add {path} takes it into the page)")
    if references:
        for row in reference_rows(tasks, settings or [], typer.echo, read_rows(folder / ROWS)):
            (folder / ROWS).mkdir(exist_ok=True)
            add = [*(add or []), write_row(row, folder / ROWS / f"{row['name']}.json")]
    if add:
        for path in add_rows(add, folder, read_tasks(folder), page):
            typer.echo(f"added       {path}")


def _row(policy: str, settings: list[str], tasks: list[Any], name: str | None) -> dict[str, Any]:
    """Play the tasks, and print what they say."""
    from gearing.studies.leaderboard.page import score_text
    from gearing.studies.leaderboard.submitting import submit as play
    from gearing.studies.reading import setting

    of_run = [text for text in settings if text.startswith(("output=", "jobs="))]
    own = dict(setting(text) for text in settings if text not in of_run)
    row = play(policy, own, tasks, name=name, overrides=of_run, tell=typer.echo)
    typer.echo(f"\n{row['name']}")
    for task, score in row["tasks"].items():
        typer.echo(f"  {task:14} {score_text(score)}  ({score['measure']})")
    for task, reason in row["skipped"].items():
        typer.echo(f"  {task:14} skipped: {reason}")
    typer.echo(f"digest      {row['content']}; code {row['code'][:8]}; gearing {row['gearing']}")
    return row
