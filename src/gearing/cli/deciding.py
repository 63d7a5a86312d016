"""``gearing decide`` and ``gearing replay``: decisions of bundles, and logs of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gearing.cli.shared import Json, Plugins, write_json

Bundle = Annotated[Path, typer.Argument(help="Folder written by `gearing export` or a study.")]
Digest = Annotated[str | None, typer.Option(help="Refuse any bundle but the one with this digest.")]
Key = Annotated[
    str | None,
    typer.Option(help="Refuse a bundle that this public ed25519 key (hex, or a file) does not verify."),
]


def decide(
    bundle: Bundle,
    bars: Annotated[Path, typer.Option(help="Recent bars: CSV, JSON (klines of a venue) or Parquet.")],
    account: Annotated[Path, typer.Option(help="Account, JSON: our format or the venue's answers.")],
    funding: Annotated[Path | None, typer.Option(help="Recent settlements: CSV, JSON or Parquet.")] = None,
    now: Annotated[
        str | None,
        typer.Option(
            help="Moment of the decision, UTC (required), or a .txt file that holds it; 'last-bar' decides at the end "
            "of the bars, however old."
        ),
    ] = None,
    max_age: Annotated[
        str | None, typer.Option(help="Longest time from the newest closed bar to the moment; default 1bar.")
    ] = None,
    max_jump: Annotated[
        str, typer.Option(help="Largest move of a price, in standard deviations of a bar; or 'off'.")
    ] = "30",
    max_outside: Annotated[
        str, typer.Option(help="How far outside the ranges of training, as a share of them; or 'off'.")
    ] = "0.5",
    fallback: Annotated[
        str | None,
        typer.Option(help="What a refused decision does: hold, flat or reduce:2; default an error."),
    ] = None,
    venue: Annotated[str | None, typer.Option(help="List the calls of binance-usdm, bybit or okx.")] = None,
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
