"""``gearing decide`` and ``gearing replay``: decisions of bundles, and logs of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gearing.cli.shared import (
    JUMP,
    OUTSIDE,
    Account,
    Bars,
    Bundle,
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

Digest = Annotated[str | None, typer.Option(help="Refuse any bundle but the one with this digest.")]


def decide(
    bundle: Bundle,
    bars: Bars,
    account: Account,
    funding: Funding = None,
    now: Annotated[
        str | None,
        typer.Option(
            help="Moment of the decision, UTC (required), or a .txt file that holds it; 'last-bar' decides at the end "
            "of the bars, however old."
        ),
    ] = None,
    max_age: MaxAge = None,
    max_jump: MaxJump = JUMP,
    max_outside: MaxOutside = OUTSIDE,
    fallback: Annotated[
        str | None,
        typer.Option(help="What a refused decision does: hold, flat or reduce:2; default an error."),
    ] = None,
    venue: Venue = None,
    contracts: Annotated[
        list[Path] | None,
        typer.Option(
            help="Filters, tiers and fees as the venue returns them, JSON; see `gearing reconcile`."
        ),
    ] = None,
    digest: Digest = None,
    key: Key = None,
    last: Annotated[
        Path | None, typer.Option(help="JSON of the previous decision, to continue its memory.")
    ] = None,
    json_file: Json = None,
    plugins: Plugins = None,
) -> None:
    """Print the orders and the venue's calls of an exported policy; needs no training libraries."""
    from gearing.export.__main__ import moment_given
    from gearing.export.runtime import load_bundle
    from gearing.plugins import load_plugins

    load_plugins(plugins or ())
    loaded = load_bundle(bundle, digest, key)
    if contracts:
        from gearing.contracts import venue as venue_profile
        from gearing.evaluation.reconcile.contracts import find_contracts

        profile = venue_profile(venue or loaded.manifest.venue.name)
        found, _ = find_contracts(loaded.manifest.symbols, profile, contracts)
        loaded = loaded.with_contracts(found)
    decision = loaded.decide(
        bars, account, funding, now=moment_given(now), max_age=max_age, max_jump=max_jump, memory=last,
        max_outside=max_outside, fallback=fallback, venue=venue,
    )  # fmt: skip
    typer.echo(str(decision))
    write_json(json_file, decision.as_dict())
    if decision.refusals:
        raise typer.Exit(1)


def replay(
    log: Annotated[Path, typer.Argument(help="Folder of a session, or its decisions.jsonl.")],
    bundle: Annotated[Path, typer.Argument(help="The bundle that decided.")],
    head: Annotated[
        str | None, typer.Option(help="Hash of a line that must be in the log, noted before.")
    ] = None,
    json_file: Json = None,
    plugins: Plugins = None,
) -> None:
    """Compute every decision of a log again, bit by bit; a torn or changed log is refused."""
    from gearing.export.runtime import load_bundle, replay as run
    from gearing.plugins import load_plugins

    load_plugins(plugins or ())
    found = run(log, load_bundle(bundle), head)
    typer.echo(str(found))
    write_json(json_file, {**vars(found), "differences": list(found.differences)})
    if found.differences:
        raise typer.Exit(1)
