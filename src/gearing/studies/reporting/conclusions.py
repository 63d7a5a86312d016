"""What a comparison allows to conclude and what not, in sentences made from its numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from gearing.evaluation.comparisons.comparison import Comparison
from gearing.evaluation.reports.comparison_tables import interval_text

ENOUGH_SEEDS = 10
_CHANCE = 0.05
_SAME_MEAN = "fixed leverage with the same mean"


@dataclass
class Conclusions:
    """Sentences: what can be concluded, what is open, and what limits all of it."""

    can: list[str] = field(default_factory=list)
    cannot: list[str] = field(default_factory=list)
    tests: int = 0  # intervals of differences that were looked at
    hits: int = 0  # those that exclude zero


def conclusions_of(comparison: Comparison) -> Conclusions:
    """Sentences about every policy, and about what the scores do not say."""
    found = Conclusions()
    for name in comparison.policies:
        _about_growth(found, comparison, name)
    if comparison.optimum is not None:
        found.can += list(_about_optimum(comparison))
    _about_pairs(found, comparison)
    if not found.can:
        found.can.append("No difference between policies is shown.")
    found.cannot += [
        *_about_tests(found, comparison),
        *_about_training(comparison),
        *_about_samples(comparison),
    ]
    return found


def _about_growth(found: Conclusions, comparison: Comparison, name: str) -> None:
    """Growth of a policy against the baseline, fixed leverage and the placebo."""
    ruined, runs = comparison.aggregates.loc[name, ["ruined", "runs"]]
    if ruined:
        found.can.append(f"{name} was ruined in {ruined} of {runs} runs; there is no growth to compare.")
        return
    if name not in comparison.growth.index:
        return
    row, fixed = comparison.growth.loc[name], comparison.aggregates.loc[name, "kind"] == "fixed"
    others = {"versus": comparison.baseline} | ({} if fixed else {"versus_fixed": _SAME_MEAN})
    known = {column: other for column, other in others.items() if _is_number(row.get(column))}
    shown = {c: other for c, other in known.items() if row[f"{c}_low"] > 0.0 or row[f"{c}_high"] < 0.0}
    found.tests, found.hits = found.tests + len(known), found.hits + len(shown)
    for column, other in shown.items():
        more = "more" if row[column] > 0.0 else "less"
        text = interval_text(row, column)
        found.can.append(f"{name} grew {more} than {other}: {text} a year, which excludes zero.")
    open_ones = [f"{other} ({interval_text(row, c)} a year)" for c, other in known.items() if c not in shown]
    if open_ones:
        found.cannot.append(
            f"Whether {name} grows faster than {' or '.join(open_ones)} is open.{_hidden(row, shown)}"
        )
    if not fixed:
        _timing(found, row, name)


def _hidden(row: Any, shown: Mapping[str, str]) -> str:
    """How large a difference to the baseline could stay hidden, where none is shown."""
    power = row.get("detectable")
    if "versus" in shown or not _is_number(power):
        return ""
    return f" In {row['days']:.0f} days a difference below about {power:.2f} a year mostly stays hidden."


def _is_number(value: Any) -> bool:
    return value is not None and not isinstance(value, str) and value == value


def _timing(found: Conclusions, row: Any, name: str) -> None:
    """The placebo test."""
    gained, chance = row.get("placebo"), row.get("placebo_p")
    if not _is_number(gained):
        return
    text = f"its leverages earned {gained:+.2f} a year compared with the same ones shifted in time (p {chance:.3f})"
    if chance <= _CHANCE:
        found.can.append(f"The timing of {name} counts: {text}.")
    else:
        found.cannot.append(f"Skill in the timing of {name} is not shown: {text}.")


def _about_optimum(comparison: Comparison) -> Iterator[str]:
    """How much of the known optimum the agents reach."""
    for name, row in comparison.regret.iterrows():
        if comparison.learned[str(name)]:
            seeds = f"{row['seeds']:.0f} seed{'s' if row['seeds'] > 1 else ''}"
            yield (
                f"{name} reaches {interval_text(row, 'score', '{:.3f}')} of the optimum's growth over "
                f"{seeds}; its "
                f"regret is {row['regret']:.3f} a year, from {row['best_seed']:.3f} to "
                f"{row['worst_seed']:.3f}."
            )


def _about_pairs(found: Conclusions, comparison: Comparison) -> None:
    """Which of two agents does better, run against run."""
    agents = [name for name in comparison.policies if comparison.learned[name]]
    for k, one in enumerate(agents):
        for other in agents[k + 1 :]:
            row: Any = comparison.improvement.loc[(one, other)]
            if row.low != row.low:
                continue
            text = f"{row.probability:.2f} [{row.low:.2f}, {row.high:.2f}]"
            if row.low > 0.5 or row.high < 0.5:
                found.can.append(
                    f"A run of {one} beats one of {other} on the same task with probability {text}."
                )
            else:
                found.cannot.append(
                    f"Neither {one} nor {other} is ahead: the probability that a run of the first beats "
                    f"one of the second, "
                    f"{text}, may be one half."
                )


def _about_tests(found: Conclusions, comparison: Comparison) -> Iterator[str]:
    if found.tests > 1:
        chance = (1.0 - comparison.level) * found.tests
        yield (
            f"{found.tests} differences were looked at and {found.hits} exclude zero; of so many without "
            f"any effect about "
            f"{chance:.1f} would."
        )


def _about_training(comparison: Comparison) -> Iterator[str]:
    """Few seeds, and choices of untrained weights."""
    few = {
        name: int(comparison.aggregates.loc[name, "seeds"])
        for name in comparison.policies
        if comparison.learned[name]
    }
    few = {name: seeds for name, seeds in few.items() if seeds < ENOUGH_SEEDS}
    if few:
        said = ", ".join(f"{name} {seeds}" for name, seeds in few.items())
        yield f"Few seeds ({said}): intervals over training are rough. Give {ENOUGH_SEEDS} for a headline."
    untrained: Any = comparison.scores.get("chosen_at", pd.Series(dtype=float))
    for name, own in comparison.scores.assign(chosen=untrained).groupby("policy", sort=False):
        zero, known = int((own["chosen"] == 0).sum()), int(own["chosen"].notna().sum())
        if zero:
            yield (
                f"In {zero} of {known} runs of {name} validation chose the weights before any training; "
                f"what these show is "
                "no learning."
            )


def _about_samples(comparison: Comparison) -> Iterator[str]:
    """What the sample is."""
    yield (
        f"Intervals over seeds tell how training varies on these {len(comparison.tasks)} tasks, not how "
        f"policies would do "
        "on others."
    )
    if not comparison.days.empty:
        days = comparison.days["day"].nunique()
        accounts = comparison.days["account"].nunique()
        moves = (
            " Accounts share these days and move together, so they do not count as independent."
            if accounts > 1
            else ""
        )
        yield f"The test has {days} days.{moves}"
