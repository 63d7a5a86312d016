"""The table of a study on real history: every policy beside fixed leverage of its average, with what chance allows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gearing.evaluation.statistics.bootstrap import block_mean
from gearing.evaluation.statistics.inference import Difference, pooled_growth_difference
from gearing.evaluation.statistics.scores import aggregate
from gearing.evaluation.statistics.superiority import superior_policies
from gearing.studies.study.daily_results import WINDOW, Played

if TYPE_CHECKING:
    import pandas as pd

    from gearing.studies.study.history_config import HistoryConfig

Floats = np.ndarray
_NAMES = ["group", "direction", "policy"]


def history_table(config: HistoryConfig, played: Sequence[Played]) -> pd.DataFrame:
    """One row per group, direction and policy; only what is complete over all folds is shown.

    ``growth`` is the mean log growth a year over contracts, folds and seeds with a calendar-block interval, ``iqm`` the
    interquartile mean of the folds' growth over seeds, folds and contracts with an interval over seeds.
    ``versus_twin`` is the difference to fixed leverage of the same mean effective leverage, fold by fold; ``verdict``
    says where it is better or worse with an error of 5 % for all rows together (stepwise, Romano and Wolf).
    ``touched`` is the share of windows of 30 days with a liquidation, whose interval resamples blocks of 60 days.
    ``placebo`` is what the leverages earned at their moments beyond the same ones at other moments, and
    ``placebo_p`` the share of circular shifts that earned as much.
    """
    import pandas as pd

    table = pd.DataFrame([{**one.key, **_row(one)} for one in played]).set_index(_NAMES)
    return table.join(_verdicts(config, played))


def told_line(config: HistoryConfig, table: pd.DataFrame) -> str:
    """How the agents did against fixed leverage of the same average, and what of all rows is beyond chance."""
    rows = table.reset_index()
    agents = rows[rows["policy"].isin(config.agents)]
    told = [
        f"{r['policy']} on {r['group']} {r['direction']} {r['growth']:+.2f} a year, {r['versus_twin']:+.2f} "
        f"[{r['twin_low']:+.2f}, {r['twin_high']:+.2f}] against fixed leverage of the same average"
        for r in agents.to_dict("records")
    ]
    judged = rows[rows["verdict"].notna()]
    counts = {what: int((judged["verdict"] == what).sum()) for what in ("better", "worse")}
    last = (
        f"of {len(judged)} rows together {counts['better']} are better than that and {counts['worse']} worse"
    )
    return f"{config.name}: " + (
        "; ".join([*told, last]) if told else "no agent is complete over all folds yet"
    )


def _row(one: Played) -> dict[str, Any]:
    growth, twin = one.stacked("growth"), one.stacked("twin")
    total, difference = _interval(growth), _interval(growth - twin)
    iqm = aggregate(np.concatenate([days.fold_growth for days in one.contracts], axis=1), seed=0)
    touched = block_mean(one.stacked("windows").mean(axis=(1, 2)), 2 * WINDOW, seed=0, replications=2000)
    gained, chance = placebo(one)
    return {
        "seeds": 0 if one.trial.seed is None else growth.shape[2],
        "growth": total.estimate, "growth_low": total.low, "growth_high": total.high,
        "iqm": iqm.estimate, "iqm_low": iqm.low, "iqm_high": iqm.high,
        "versus_twin": difference.estimate, "twin_low": difference.low, "twin_high": difference.high,
        "placebo": gained, "placebo_p": chance,
        "touched": touched[0], "touched_low": touched[1], "touched_high": touched[2],
        "ruined": int(sum(days.ruined.sum() for days in one.contracts)),
        **{name: one.mean(name) for name in ("leverage", "fees", "funding", "liquidations", "drawdown")},
    }  # fmt: skip


def placebo(one: Played) -> tuple[float, float]:
    """What a year the moments of the leverages were worth, and the share of shifts, themselves counted, that did as
    well."""
    own, shifted = one.mean("replayed"), one.stacked("shifted").mean(axis=(0, 1, 2))
    if not np.isfinite(own) or not np.isfinite(shifted).all():
        return np.nan, np.nan
    return float(own - shifted.mean()), float((1 + np.sum(shifted >= own)) / (1 + shifted.size))


def _interval(values: Floats) -> Difference:
    """Mean a year of daily values (n_days, n_contracts, n_seeds), blocks of days common to all contracts resampled."""
    return pooled_growth_difference(values, np.zeros(values.shape[:2]), seed=0)


def _verdicts(config: HistoryConfig, played: Sequence[Played]) -> pd.Series:
    """Which rows differ from their twins beyond chance, all rows looked at together; fixed leverage is left out."""
    import pandas as pd

    judged = [p for p in played if not _is_fixed(config, p)]
    index = pd.MultiIndex.from_tuples([tuple(p.key.values()) for p in judged], names=_NAMES)
    verdict = pd.Series("", index=index, name="verdict", dtype=object)
    gains = [(p.stacked("growth") - p.stacked("twin")).mean(axis=(1, 2)) for p in judged]
    days = pd.DataFrame(np.array(gains).T, columns=[str(k) for k in range(len(judged))])
    days = days.loc[:, days.std() > 0.0]
    nothing = pd.Series(0.0, index=days.index)
    for what, sign in (("better", 1.0), ("worse", -1.0)):
        named = superior_policies(nothing, sign * days, seed=0, size=0.025) if days.shape[1] else []
        verdict.iloc[[int(name) for name in named]] = what
    return verdict


def _is_fixed(config: HistoryConfig, one: Played) -> bool:
    rule = config.rules.get(one.trial.policy)
    return rule is not None and rule.rule.startswith("fixed")
