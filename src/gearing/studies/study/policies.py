"""The table of a study with groups: every policy next to fixed leverage with the same mean, and what chance allows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from gearing.evaluation.metrics import DAYS_PER_YEAR, RUINED
from gearing.evaluation.reports.tables import number_text, printed
from gearing.evaluation.statistics.bootstrap import block_mean
from gearing.evaluation.statistics.inference import Difference, pooled_growth_difference
from gearing.evaluation.statistics.scores import aggregate
from gearing.evaluation.statistics.selection import superior_policies
from gearing.studies.study.days import WINDOW, Played

Floats = np.ndarray
KEYS = ["group", "direction", "policy"]
_MEANS = (
    "growth", "growth_low", "growth_high", "versus_fixed", "fixed_low", "fixed_high", "placebo", "placebo_p",
)  # fmt: skip
_GROWTHS = ("growth", "one_level", "between_folds", "within_folds", "timing", "timing_p", "correlation")
_PRINTED = {
    "log growth/y [95 %]": ("growth_text", "{}"),
    "vs fixed, same mean [95 %]": ("fixed_text", "{}"),
    "verdict": ("verdict", "{}"),
    "eff. lev.": ("leverage", "{:.2f}"),
    "liq./y": ("liquidations", "{:.1f}"),
    "30 d with liq.": ("touched", "{:.0%}"),
    "max DD": ("drawdown", "{:.1%}"),
    "ruined": ("ruined_text", "{}"),
    "trained": ("trained_decisions", "{:,.0f}"),
    "untrained": ("untrained", "{:.0%}"),
    "code": ("code", "{}"),
}
_MIDDLE = ("iqm", "iqm_low", "iqm_high")


def policies_table(played: Sequence[Played]) -> pd.DataFrame:
    """One row per group, direction and policy.

    ``growth`` is the mean log growth a year over contracts, folds and seeds with a calendar-block interval, ``iqm`` the
    interquartile mean of the folds' growth over seeds, folds and contracts with an interval over seeds.
    ``versus_fixed`` is the difference to fixed leverage with the same mean effective leverage, fold by fold;
    ``verdict`` says where it is better or worse with an error of 5 % for all rows together (stepwise, Romano and Wolf).
    ``touched`` is the share of windows of 30 days with a liquidation, whose interval resamples blocks of 60 days.
    ``placebo`` is what the timing of the leverages earned: their growth less that of the same ones circularly shifted
    in time; ``placebo_p`` is the share of shifts that earned as much.

    ``ruined`` counts the accounts that were ruined, of ``accounts``: seeds x folds x contracts. Where there is one, the
    means of growth are the word "ruined"; where it is more than a quarter, the interquartile mean is, too, which does
    not exist of fewer than four accounts. ``trained_decisions`` is the mean number of decisions trained on until the
    chosen weights, ``untrained`` the share of trainings that chose the weights before any.
    """
    table = pd.DataFrame([{**one.key, **_row(one)} for one in played]).set_index(KEYS)
    table = table.join(_verdicts(played))
    codes = [one.code for one in played]
    return table.assign(code=codes) if any(codes) else table


def policies_printed(table: pd.DataFrame) -> pd.DataFrame:
    """What is printed of the table of all policies; its file has all columns."""
    texts = {
        "growth_text": [
            _interval_text(row, ("growth", "growth_low", "growth_high")) for _, row in table.iterrows()
        ],
        "fixed_text": [
            _interval_text(row, ("versus_fixed", "fixed_low", "fixed_high")) for _, row in table.iterrows()
        ],
        "ruined_text": [f"{row['ruined']} of {row['accounts']}" for _, row in table.iterrows()],
    }
    verdict = table["verdict"].fillna("").replace("", "-")
    return printed(table.assign(**texts, verdict=verdict), _PRINTED)


def _interval_text(row: pd.Series, names: Sequence[str]) -> str:
    if isinstance(row[names[0]], str):
        return str(row[names[0]])
    estimate, low, high = (number_text("{:+.2f}", row[name]) for name in names)
    return f"{estimate} [{low}, {high}]"


def policies_line(name: str, played: Sequence[Played], table: pd.DataFrame) -> str:
    """How the agents did against fixed leverage with the same mean, and what of all rows is beyond chance."""
    texts = []
    for one in played:
        if one.kind == "agent":
            row = table.loc[tuple(one.key.values())]
            texts.append(f"{one.label} on {one.group} {one.direction} {_result_text(row)}{_training(row)}")
    judged = table["verdict"].dropna()
    counts = {what: int((judged == what).sum()) for what in ("better", "worse")}
    texts.append(
        f"of {len(judged)} policies and accounts {counts['better']} did significantly better than fixed leverage "
        f"with the same mean and {counts['worse']} significantly worse, at 5 % for all together"
    )
    return f"{name}: {'; '.join(texts)}"


def _result_text(row: pd.Series) -> str:
    """Growth, and how it compares; or how many accounts were ruined."""
    if row["ruined"]:
        return f"ruined in {row['ruined']} of {row['accounts']} accounts"
    versus = [
        number_text("{:+.2f}", row[name]) for name in ("growth", "versus_fixed", "fixed_low", "fixed_high")
    ]
    return "{} a year, {} [{}, {}] against fixed leverage with the same mean".format(*versus)


def _training(row: pd.Series) -> str:
    """How many trainings chose untrained weights, in words; nothing where none did."""
    return (
        f" ({row['untrained']:.0%} of the trainings chose untrained weights)"
        if row["untrained"] > 0.0
        else ""
    )


def _row(one: Played) -> dict[str, Any]:
    growth = one.stacked("growth")
    total, difference = _interval(growth), _interval(growth - one.stacked("matched"))
    iqm = aggregate(np.concatenate([days.fold_growth for days in one.contracts], axis=1), seed=0)
    touched = block_mean(one.stacked("windows").mean(axis=(1, 2)), 2 * WINDOW, seed=0, replications=2000)
    gained, chance = placebo(one)
    scores = sum(days.fold_growth.size for days in one.contracts)
    ruined = int(sum(days.ruined.sum() for days in one.contracts))
    found = {
        "seeds": len(one.seeds), "accounts": scores,
        "growth": total.estimate, "growth_low": total.low, "growth_high": total.high,
        "iqm": iqm.estimate, "iqm_low": iqm.low, "iqm_high": iqm.high,
        "versus_fixed": difference.estimate, "fixed_low": difference.low, "fixed_high": difference.high,
        "placebo": gained, "placebo_p": chance,
        "touched": touched[0], "touched_low": touched[1], "touched_high": touched[2],
        "ruined": ruined,
        **{name: one.mean(name) for name in ("leverage", "fees", "funding", "liquidations", "drawdown")},
        **_trained(one),
    }  # fmt: skip
    return found | _unknown(len(one.seeds), scores, ruined)


def _unknown(seeds: int, scores: int, ruined: int) -> dict[str, Any]:
    """Columns that are no number: means over ruined accounts, an interquartile mean of too few, an interval of one."""
    words: dict[str, Any] = {}
    if seeds < 2:
        words |= dict.fromkeys(("iqm_low", "iqm_high"), np.nan)  # an interval over seeds
    if ruined:
        words |= dict.fromkeys(_MEANS, RUINED)
    if ruined > scores // 4:
        words |= dict.fromkeys(_MIDDLE, RUINED)
    if scores < 4:
        words |= dict.fromkeys(_MIDDLE, np.nan)  # it would be the plain mean, which ``growth`` is
    return words


def _trained(one: Played) -> dict[str, float]:
    chosen = one.contracts[0].chosen_at  # NaN of rules
    share = float((chosen == 0).mean()) if np.isfinite(chosen).all() else np.nan
    return {"trained_decisions": float(chosen.mean()), "untrained": share}


def placebo(one: Played) -> tuple[float, float]:
    """What a year the timing of the leverages was worth, and the share of shifts, the policy's own series counted, that
    did as well; NaN without a placebo test."""
    own, shifted = one.mean("replayed"), one.stacked("shifted").mean(axis=(0, 1, 2))
    if not np.isfinite(own) or not np.isfinite(shifted).all():
        return np.nan, np.nan
    return float(own - shifted.mean()), float((1 + np.sum(shifted >= own)) / (1 + shifted.size))


def _interval(values: Floats) -> Difference:
    """Mean a year of daily values (n_days, n_contracts, n_seeds), blocks of days common to all contracts resampled."""
    return pooled_growth_difference(values, np.zeros(values.shape[:2]), seed=0)


def _verdicts(played: Sequence[Played]) -> pd.Series:
    """Which rows differ from fixed leverage beyond chance, all rows looked at together.

    Fixed leverage is left out, and so is a policy with a ruined account.
    """
    judged = [one for one in played if one.kind != "fixed" and not _ruined(one)]
    if not judged:
        return pd.Series(
            name="verdict", dtype=object, index=pd.MultiIndex.from_arrays([[], [], []], names=KEYS)
        )
    index = pd.MultiIndex.from_tuples([tuple(one.key.values()) for one in judged], names=KEYS)
    verdict = pd.Series("", index=index, name="verdict", dtype=object)
    gains = [(one.stacked("growth") - one.stacked("matched")).mean(axis=(1, 2)) for one in judged]
    days = pd.DataFrame({str(k): gain for k, gain in enumerate(gains)})
    days = days.loc[:, days.std() > 0.0]
    nothing = pd.Series(0.0, index=days.index)
    for what, sign in (("better", 1.0), ("worse", -1.0)):
        named = superior_policies(nothing, sign * days, seed=0, size=0.025) if days.shape[1] else []
        verdict.iloc[[int(name) for name in named]] = what
    return verdict


def _ruined(one: Played) -> bool:
    return any(days.ruined.any() for days in one.contracts)


def reasons_table(played: Sequence[Played]) -> pd.DataFrame:
    """Log growth a year of each agent in parts, and what validation knew; one row per group, direction and agent.

    ``growth`` = ``one_level`` + ``between_folds`` + ``within_folds``: what one fixed leverage with the agent's mean
    over all folds earned; what another mean in each fold added; what moving within the folds added. ``more_fees`` is
    the part of the latter that went into fees, ``timing`` what the leverages earned beyond circularly shifted ones,
    with ``timing_p``; they are the word "ruined" where an account was. ``promised`` is the growth on validation of
    the weights that were chosen there, ``untrained`` the share of trainings whose choice was the weights before any
    training, and ``correlation`` that of validation with the test, over folds and seeds.
    """
    rows = [{**one.key, **_reasons(one)} for one in _agents(played)]
    return pd.DataFrame(rows).set_index(KEYS)


def seeds_table(played: Sequence[Played]) -> pd.DataFrame:
    """Growth a year of every seed of every agent, mean over contracts and folds, and less that of fixed leverage."""
    rows = []
    for one in _agents(played):
        growth, fixed = (
            one.stacked(name).mean(axis=(0, 1)) * DAYS_PER_YEAR for name in ("growth", "matched")
        )
        chosen = one.contracts[0].chosen_at
        ruined = np.sum([days.ruined for days in one.contracts], axis=0)
        for k, (seed, g, f) in enumerate(zip(one.seeds, growth, fixed, strict=True)):
            gone = {"growth": RUINED, "versus_fixed": RUINED} if ruined[k] else {}
            trained = {
                "trained_decisions": float(chosen[k].mean()),
                "untrained": float((chosen[k] == 0).mean()),
            }
            row = {**one.key, "seed": seed, "growth": float(g), "versus_fixed": float(g - f)}
            rows.append({**row, **gone, **trained})
    return pd.DataFrame(rows).set_index([*KEYS, "seed"])


def _agents(played: Sequence[Played]) -> list[Played]:
    """What agents did without the overlay."""
    return [one for one in played if one.kind == "agent"]


def _reasons(one: Played) -> dict[str, Any]:
    names = ("growth", "matched", "constant")
    growth, fixed, constant = (one.mean(name) * DAYS_PER_YEAR for name in names)
    gained, chance = placebo(one)
    test = one.stacked("fold_growth").mean(axis=1)
    validation, chosen = (one.contracts[0].validation, one.contracts[0].chosen_at)
    parts = {
        "leverage": one.mean("leverage"), "growth": growth,
        "one_level": constant, "between_folds": fixed - constant, "within_folds": growth - fixed,
        "more_fees": one.mean("fees") - one.mean("matched_fees"), "timing": gained, "timing_p": chance,
        "promised": float(validation.mean()), "untrained": float((chosen == 0).mean()),
        "correlation": _correlation(validation, test),
    }  # fmt: skip
    words = {name: RUINED for name in _GROWTHS if _ruined(one)}
    return {**parts, **words}


def _correlation(validation: np.ndarray, test: np.ndarray) -> float:
    if not np.isfinite(validation).all() or validation.std() == 0.0 or test.std() == 0.0:
        return np.nan
    return float(np.corrcoef(validation.ravel(), test.ravel())[0, 1])
