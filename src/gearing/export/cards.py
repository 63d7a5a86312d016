"""The model card of a bundle: what a person reads before connecting it, in Markdown."""

from collections.abc import Iterable, Mapping
from typing import Any

from gearing.export.bundle.manifest import Manifest
from gearing.market.timing import label

_UNKNOWN = "Not given when the bundle was exported."


def model_card(manifest: Manifest) -> str:
    """Model card, with the budget card in it, of a bundle.

    Returns
    -------
    str
        Markdown.
    """
    parts = [
        f"# {manifest.name}\n\n{_policy(manifest)}",
        "## What it trades\n\n"
        + _table(("contract", "tick", "lot", "smallest order", "tiers"), _contracts(manifest)),
        "## How it decides\n\n" + _table(("setting", "value"), _settings(manifest)),
        "## What it reads\n\n" + _table(("column", "from", "bounds", "seen in training"), _columns(manifest)),
        "## Where it was trained\n\n" + _trained(manifest),
        "## Evaluation\n\n" + _values(manifest.evaluation),
        "## Budget card\n\nPromised against realised risk.\n\n" + _values(manifest.budget),
        "## Known limits\n\n" + "\n".join(f"- {line}" for line in _limits(manifest)),
        "## Origin\n\n" + _values(manifest.provenance),
    ]
    return "\n\n".join(parts) + "\n"


def _policy(manifest: Manifest) -> str:
    kind = {
        "rule": "A rule with fixed parameters.",
        "network": "A trained network (`policy.onnx`, with scaling, bounds and action mapping inside).",
        "residual": "A trained network that scales a rule (`policy.onnx` returns the factor, 0 to 2).",
    }[manifest.kind]
    named = "" if manifest.rule is None else f" Rule: `{dict(manifest.rule)}`."
    members = manifest.policy.get("members", 1)
    many = f" It is the mean of {members} networks, trained with different seeds." if members > 1 else ""
    return kind + named + many


def _contracts(manifest: Manifest) -> Iterable[tuple[Any, ...]]:
    for one in manifest.contracts:
        dated = ", ".join(f"{s.as_of or 'undated'} ({s.source})" for s in one.schedules[-1:])
        yield (
            one.symbol,
            f"{one.tick_size:g}",
            f"{one.lot_size:g}",
            f"{one.min_notional:g} {one.settle}",
            dated,
        )


def _settings(manifest: Manifest) -> Iterable[tuple[Any, ...]]:
    config, venue = manifest.config, manifest.venue
    yield "bars", label(manifest.bar)
    yield "decisions", f"every {config.decision_interval}, from {manifest.lookback_bars} bars"
    yield "direction", config.direction
    yield "largest leverage", f"{config.max_leverage:g}x of the posted share"
    yield "margin", f"{config.margin_mode}, share of equity {config.margin_share}"
    yield "rebalance", config.rebalance
    yield "controls", ", ".join(type(one).__name__ for one in config.controls) or "none"
    yield (
        "venue",
        f"{venue.name}, fees of {venue.as_of}: taker {venue.taker_fee:.4%}, maker {venue.maker_fee:.4%}",
    )
    yield "sources", "; ".join(venue.sources) or "none given"


def _columns(manifest: Manifest) -> Iterable[tuple[Any, ...]]:
    source = {one.name: one.source for one in manifest.declared}
    source |= {spec.column: f"forecast {spec.recipe}, {spec.horizon}" for spec in manifest.forecasts}
    for k, name in enumerate(manifest.columns):
        seen = "" if manifest.seen is None else f"{manifest.seen.low[k]:.4g} to {manifest.seen.high[k]:.4g}"
        bounds = f"{manifest.low[k]:g} to {manifest.high[k]:g}"
        yield name, source.get(name, "given with the bars"), bounds, seen


def _trained(manifest: Manifest) -> str:
    if manifest.seen is None:
        return "The ranges of training are not known: no observation is refused for lying outside."
    seen = manifest.seen
    before = (
        "" if manifest.kind != "rule" else "A rule is not trained; these are the data it was exported with. "
    )
    return before + (
        f"{seen.span[0]} to {seen.span[1]} UTC, {seen.rows:,} rows. The largest joint (Mahalanobis) distance was "
        f"{seen.largest:.3g}, its 99 % quantile {seen.quantiles['0.99']:.3g}. Observations outside are refused, see "
        "`max_outside`."
    )


def _limits(manifest: Manifest) -> Iterable[str]:
    yield "Orders are assumed to have no impact on the market, and to fill at the last price with the assumed slippage."
    yield "Auto-deleveraging and outages of the venue are not modelled."
    if manifest.forecasts:
        yield (
            "A forecast column differs from that of training: the bundle holds the newest fit, training used forecasts "
            "that were out of sample at every bar."
        )
    if not manifest.config.controls:
        yield "It has no risk controls of its own; set limits of the session (docs/decisions.md)."
    yield from manifest.venue.notes


def _values(given: Mapping[str, Any]) -> str:
    """Plain values as a table: lists of objects as rows, others by name."""
    if not given:
        return _UNKNOWN
    flat = [(name, value) for name, value in given.items() if not _is_rows(value)]
    tables = [_rows(name, value) for name, value in given.items() if _is_rows(value)]
    return "\n\n".join([*([_table(("what", "value"), flat)] if flat else []), *tables])


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, Mapping) for one in value)


def _rows(name: str, rows: list[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(key for row in rows for key in row))
    return f"{name}:\n\n" + _table(names, ([row.get(key, "") for key in names] for row in rows))


def _table(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    names = list(header)
    lines = [names, ["---"] * len(names), *([_cell(one) for one in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Any) -> str:
    if isinstance(value, Mapping):
        value = ", ".join(f"{name} {_cell(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        value = ", ".join(map(_cell, value))
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return " ".join(text.replace("|", "\\|").split())
