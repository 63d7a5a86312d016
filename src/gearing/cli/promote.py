"""`gearing promote`: make a registered model's challenger its champion, where evidence says that it is better."""

from __future__ import annotations

from typing import Annotated

import typer


def promote(
    model: Annotated[
        str | None,
        typer.Argument(
            help="Name of the registered model: the study's. Without it, all challengers are listed."
        ),
    ] = None,
    uri: Annotated[
        str | None,
        typer.Option(help="Tracking URI; default: MLFLOW_TRACKING_URI, else mlruns/mlflow.db."),
    ] = None,
    level: Annotated[
        float, typer.Option(help="Of the interval that has to be above zero.", min=0.5, max=0.999)
    ] = 0.95,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.", min=0)] = 0,
) -> None:
    """Make a registered model's challenger its champion, if it grew significantly faster on the same days.

    Exits with 1 where the challenger stays challenger. Without a model, lists all challengers with their evidence.
    """
    from gearing.tracking.registry import promote as promoted

    if model is None:
        _list(uri, level, seed)
        return
    found = promoted(model, uri, level=level, seed=seed)
    typer.echo(str(found))
    if not found.promoted:
        raise typer.Exit(1)


def _list(uri: str | None, level: float, seed: int) -> None:
    from gearing.evaluation.reports.tables import fitted
    from gearing.tracking.registry import candidates

    table = candidates(uri, level=level, seed=seed)
    if table.empty:
        typer.echo("no registered model has a challenger; a study with `export: AGENT` registers one.")
        return
    refused = table["against"].isna()
    typer.echo(fitted(table.assign(verdict=table["verdict"].where(~refused, "no comparison"))))
    for reason in table.loc[refused, "verdict"]:
        typer.echo(f"* {reason}")
