"""What the tables of the published questions allow to conclude and what not, in sentences made from their numbers.

An interval of 95 % that excludes zero, or a count that remains after correction for all tests, is a conclusion; what
does not exclude zero is open.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import pandas as pd

from gearing.questions.question import as_tuple, days_of, levels, with_interval

_ERRORS = 3.0  # standard errors within which a sampled number agrees with a computed one


class Sentences(NamedTuple):
    """What can be concluded, and what cannot."""

    can: tuple[str, ...]
    cannot: tuple[str, ...]


def of_crash_replay(replays: pd.DataFrame) -> Sentences:
    """Of the table ``replays``: by crash, contract, series and leverage."""
    can = []
    marked: Any = replays.xs("mark", level="series")
    for (crash, contract), rows in marked.groupby(level=["crash", "contract"], sort=False):
        can.append(f"{crash}, {contract}: {_crash(rows.droplevel(['crash', 'contract']))}.")
    liquidated = replays["liquidated"].notna().unstack("series")
    differ = int((liquidated["mark"] != liquidated["last"]).sum())
    can.append(
        f"Liquidation on the last price instead of the mark changes who is liquidated in {differ} of {len(liquidated)} "
        "cases."
    )
    cut = int(marked["capped"].sum())
    cannot = [
        f"{_count(len(levels(replays, 'crash')), 'crash', 'crashes')} cannot tell how often one comes, or how deep the "
        "next one is.",
        "Every long was opened at the first midnight (UTC) of its crash and never changed; a position opened earlier, "
        "or one with a stop, ends otherwise.",
    ]
    if cut:
        cannot.append(
            f"{cut} of {len(marked)} positions were cut to what their tier allows, so that their leverage is lower."
        )
    return Sentences(tuple(can), tuple(cannot))


def _crash(rows: pd.DataFrame) -> str:
    """Which leverages survived one crash."""
    hit, alive = rows[rows.liquidated.notna()], rows[rows.liquidated.isna()]
    if hit.empty:
        return (
            f"no long was liquidated; {rows.index.max():g}x ended with {rows.equity.iloc[-1]:,.0f} of equity"
        )
    first = hit.loc[hit.index.min()]
    survived = f"longs up to {alive.index.max():g}x survived" if len(alive) else "no leverage survived"
    return f"{survived}, {hit.index.min():g}x was liquidated at {first.liquidated:%Y-%m-%d %H:%M} UTC"


def of_margin_modes(modes: pd.DataFrame) -> Sentences:
    """Of the table ``modes``: by horizon, book, leverage and mode."""
    can, still_open = [], []
    cross: Any = modes.xs("cross", level="mode")
    for (horizon, book, leverage), row in cross.iterrows():
        where = f"{book} at {leverage:g}x for {horizon}"
        gain = with_interval(row, "gain", "+.3f")
        if row.gain_low > 0.0 or row.gain_high < 0.0:
            more = "more" if row.gain > 0.0 else "less"
            can.append(f"Cross margin ended with {more} than isolated margin: {gain} of the equity, {where}.")
        else:
            still_open.append(f"{where} ({gain})")
        if row.contagion_low > 0.0:
            share = with_interval(row, "contagion", ".0%")
            can.append(
                f"Of the positions that cross margin liquidated, {share} would have survived in isolated margin, "
                f"{where}."
            )
    cannot = [
        *_open("Which margin mode ends with more equity", still_open),
        _overlap(int(cross["starts"].max()), levels(modes, "horizon")),
        "A cross liquidation closes everything here; a venue that closes one position at a time may end otherwise.",
    ]
    return Sentences(_or_none(can), tuple(cannot))


def of_leverage_risk(risk: pd.DataFrame, budget: float) -> Sentences:
    """Of the table ``risk``: longs and shorts whose margin is all of the equity, by contract and horizon.

    Without a liquidation in n separate windows, a probability up to about 3 / n is not refuted.
    """
    can, still_open = [], []
    arrangement = levels(risk, "arrangement")[0]
    rows: Any = risk.xs((arrangement, "liquidation"), level=["arrangement", "event"])
    for key, part in rows.groupby(level=["contract", "direction", "horizon"], sort=False):
        contract, direction, horizon = as_tuple(key)
        by_leverage = part.droplevel(["contract", "direction", "horizon"]).sort_index()
        where = f"a {direction} of {contract} held for {horizon}"
        safe = by_leverage[(by_leverage.high <= budget).cummin()]
        if safe.empty:
            least = with_interval(by_leverage.iloc[0], "probability", ".1%")
            still_open.append(f"{where}, already {least} at {by_leverage.index[0]:g}x")
            continue
        row, leverage = safe.iloc[-1], safe.index[-1]
        unseen = 3.0 * days_of(horizon) / row.n_starts
        if row.probability == 0.0 and unseen > budget:
            still_open.append(
                f"{where}, of which none was liquidated up to {leverage:g}x, in too few separate windows to exclude "
                f"{min(unseen, 1.0):.0%}"
            )
        else:
            found = with_interval(row, "probability", ".1%")
            can.append(f"At {leverage:g}x {where} was liquidated in {found} of starts, within {budget:.0%}.")
    cannot = [
        *_open(f"Which leverage keeps the risk of liquidation within {budget:.0%}", still_open),
        _overlap(int(risk["n_starts"].max()), levels(risk, "horizon")),
        "Between two leverages of the table nothing was played; `gearing safest-leverage` searches there.",
    ]
    return Sentences(_or_none(can), tuple(cannot))


def of_funding_erosion(overall: pd.DataFrame) -> Sentences:
    """Of the table ``overall``: by contract, horizon, direction and leverage; of the leverages, the middle one."""
    can, still_open = [], []
    leverages = sorted(levels(overall, "leverage"))
    shown: Any = overall.xs(leverages[len(leverages) // 2], level="leverage", drop_level=False)
    for key, row in shown.iterrows():
        contract, horizon, direction, leverage = as_tuple(key)
        where = f"a {leverage:g}x {direction} of {contract} held for {horizon}"
        effect = with_interval(row, "effect", "+.1%")
        if row.effect_high < 0.0 or row.effect_low > 0.0:
            verb = "took from" if row.effect < 0.0 else "added to"
            can.append(f"Funding {verb} {where}: {effect} of its margin.")
        else:
            still_open.append(f"{where} ({effect})")
    cannot = [
        *_open("Whether funding takes or adds", still_open),
        _overlap(int(overall["starts"].max()), levels(overall, "horizon")),
        "Funding differs from year to year (table `held`); no year says what the next one is.",
    ]
    return Sentences(_or_none(can), tuple(cannot))


def of_methods(counts: pd.DataFrame, advice: pd.DataFrame | None) -> Sentences:
    """Of the table ``comparison``, counts of each rule over its cells, and ``advice``, one verdict a rule."""
    can, cannot = [], []
    for name, row in counts.iterrows():
        found, single = _counted(row, "_family"), _counted(row, "")
        if found:
            can.append(
                f"{name} had {' and '.join(found)} of {row.cells:g} cells than fixed leverage of the same mean, "
                "corrected for all tests."
            )
        else:
            more = f"; one by one it has {' and '.join(single)} of {row.cells:g}" if single else ""
            cannot.append(
                f"After correction no cell shows that {name} differs from fixed leverage of the same mean{more}."
            )
    if advice is not None:
        for verdict, names in advice.groupby("verdict", sort=False).groups.items():
            where = cannot if verdict == "not shown" else can
            where.append(f"Traders who move their leverage by {', '.join(map(str, names))}: {verdict}.")
    cannot.append("Cells of one contract share its prices: their number is no number of independent tests.")
    return Sentences(_or_none(can), tuple(cannot))


def _counted(row: pd.Series, ending: str) -> list[str]:
    """In how many cells of a rule something is significant."""
    named = {
        "fewer": "fewer liquidations",
        "more": "more liquidations",
        "better": "more growth",
        "worse": "less growth",
    }
    counts = {text: row.get(f"{name}_same_leverage{ending}", 0.0) for name, text in named.items()}
    return [f"{text} in {count:g}" for text, count in counts.items() if count]


def of_case_study(found: pd.DataFrame, baseline: str) -> Sentences:
    """Of the table ``claim``: each rule's Sharpe ratio over the baseline's, by contract."""
    can, cannot = [], []
    for key, row in found.iterrows():
        contract, rule = as_tuple(key)
        if rule == baseline:
            continue
        begin = f"{contract}: the Sharpe ratio of {rule}"
        counts = {"above": row.better_corrected, "below": row.worse_corrected}
        shown = [
            f"{side} that of {baseline} in {n:g} of {row.cells:g} cells" for side, n in counts.items() if n
        ]
        if shown:
            can.append(f"{begin} is {' and '.join(shown)}, corrected for all tests.")
        else:
            cannot.append(
                f"{begin} is {row.least:.2f} to {row.largest:.2f} times that of {baseline}; after correction no cell "
                "shows a difference."
            )
    cannot.append("Cells of one contract share its prices: their number is no number of independent tests.")
    return Sentences(_or_none(can), tuple(cannot))


def of_market_a(full: pd.DataFrame, years: int) -> Sentences:
    """Of the table ``full``: growth computed, sampled and played in the simulator."""
    apart = (full.played - full.computed_moved).abs()
    agree = apart <= _ERRORS * full.played_error
    worst = str(apart[agree].idxmax()) if agree.any() else ""
    can = [
        f"Of {len(full)} policies {int(agree.sum())} grow in the simulator as computed, within {_ERRORS:g} standard "
        "errors" + (f"; the largest distance is {apart[worst]:.3f} a year ({worst})." if worst else ".")
    ]
    cannot = [
        f"{name} grows {full.played[name]:+.3f} in the simulator and {full.computed_moved[name]:+.3f} as computed; "
        "sampling alone does not explain that."
        for name in full.index[~agree]
    ]
    cannot.append(
        f"Differences below the errors of {years:,} sampled years stay hidden. Market A is no real market."
    )
    return Sentences(tuple(can), tuple(cannot))


def of_reference_ablation(explained: pd.DataFrame) -> Sentences:
    """Of the table ``explained``: every figure of the reference and what moves ours to it."""
    text = explained["explanation"]
    other = text.str.startswith(("not found", "no value", "momentum"))
    agree, nothing = text == "agrees", text[text.str.startswith("not found")]
    can = [f"{int(agree.sum())} of {len(text)} figures agree with the reference."]
    for name, figures in text[~agree & ~other].groupby(text, sort=False):
        can.append(f"The change {name!r} explains {', '.join(map(str, figures.index))}.")
    spanned = text[text.str.startswith("momentum")].index
    cannot = []
    if len(spanned):
        cannot.append(
            f"{', '.join(map(str, spanned))} depend on the definition of momentum, which the reference does not state."
        )
    if len(nothing):
        cannot.append(f"No change that was tried explains {', '.join(map(str, nothing.index))}.")
    return Sentences(tuple(can), tuple(cannot))


def _open(what: str, places: Sequence[str]) -> Iterable[str]:
    return [f"{what} is open for {'; '.join(places)}."] if places else []


def _overlap(starts: int, horizons: Sequence[str]) -> str:
    """How many separate windows daily starts are."""
    counts = [f"{max(int(starts / days_of(horizon)), 1):,} of {horizon}" for horizon in horizons]
    return f"{starts:,} daily starts overlap: they are as good as about {', '.join(counts)} that do not."


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _or_none(found: Sequence[str]) -> tuple[str, ...]:
    return tuple(found) or ("No difference is shown.",)
