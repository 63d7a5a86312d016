"""Scores of a study's policies by account, fold and seed, as a `Comparison`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from gearing.evaluation.comparisons.comparison import GROWTH, Comparison, StudyFacts
from gearing.evaluation.metrics import DAYS_PER_YEAR
from gearing.market.timing import DAY
from gearing.studies.study.config import StudyConfig
from gearing.studies.study.days import Fixed, days_of, fold_days, kind_of, on_days
from gearing.studies.study.prepare import Prepared
from gearing.studies.study.trials import CHOSEN_AT, HISTORY, OVERLAY
from gearing.studies.trials import Result

_DAYS = ("policy", "study", "task", "training", "account", "seed", "day", "growth", "matched")
_CURVES = ("policy", "study", "training", "seed", "decisions", "cpu_seconds", "score")


def compared(prepared: Prepared, results: Sequence[Result], fixed: Fixed) -> Comparison:
    """Every policy on every account and fold, with each seed; next to fixed leverage with the same mean."""
    played = [_played(prepared, *which, fixed) for which in _accounts(prepared.config, results)]
    days = pd.concat([days for _, days in played], ignore_index=True)
    config, scores = prepared.config, _table([row for row, _ in played])
    baseline, notes = config.baseline, tuple[str, ...]()
    if baseline not in set(scores["policy"]):  # its trials failed
        baseline = str(scores["policy"].iloc[0])
        notes = (f"The baseline {config.baseline} has no result; {baseline} takes its place.",)
    return Comparison(
        scores, _curves(config, results), days, (_facts(prepared, results),), baseline, notes,
        **config.statistics.model_dump(exclude={"baseline"}),
    )  # fmt: skip


def _accounts(config: StudyConfig, results: Sequence[Result]) -> Iterator[tuple[Result, str | None, bool]]:
    """Every account that a trial was played on, without and with the overlay."""
    for result in results:
        for account in result.trial.accounts(config) or [None]:
            for overlay in config.overlays:
                yield result, account, overlay


def _played(
    prepared: Prepared, result: Result, account: str | None, overlay: bool, fixed: Fixed
) -> tuple[dict[str, Any], pd.DataFrame]:
    """The row of an account, and its days."""
    config, trial, fold = prepared.config, result.trial, prepared.folds[result.trial.fold]
    did = fold_days(config, result, account, overlay)
    name = account or next(iter(prepared.markets))
    first, last, count = days_of(did, fold.test)
    growth = on_days(did["growth"], first, last, count)
    matched = np.full(count, np.nan)
    if config.decision.position_mode != "hedge":  # with two legs a contract, one leverage is no comparison
        grid = fixed(name, trial.direction, trial.fold)
        at_mean = grid.at_leverage(float(did["leverage"].mean()), grid.growth)
        matched = on_days(at_mean[first:last], first, last, count)
    key = {
        "policy": trial.policy + OVERLAY * overlay,
        "study": config.name,
        **_key(config, trial, name, fold.test),
    }
    row = {
        **key, "kind": kind_of(config, trial.policy, overlay), "seed": trial.seed,
        "score": growth.mean() * DAYS_PER_YEAR, "growth": growth.mean() * DAYS_PER_YEAR,
        "ruined": bool(did["ruined"]), "leverage": float(did["leverage"].mean()), "optimum": np.nan,
        "chosen_at": float(result.summary.get(CHOSEN_AT, np.nan)),
        **_placebo(did),
    }  # fmt: skip
    side = "" if config.directions is None else f" {trial.direction}"
    days = pd.DataFrame({**key, "account": name + side, "growth": growth, "matched": matched})
    days = days.assign(seed=_seeds([trial.seed] * count), day=fold.test[0] + np.arange(count) * DAY)
    return row, days[list(_DAYS)]


def _placebo(did: Mapping[str, Any]) -> dict[str, Any]:
    """Growth of the traded leverages, and of each circular shift; nothing without a placebo test."""
    if "shifted" not in did:
        return {}
    return {"replayed": float(did["replayed"]), "shifted": list(map(float, did["shifted"]))}


def _key(config: StudyConfig, trial: Any, account: str, span: Any) -> dict[str, str]:
    """What was played, and by which training."""
    direction = trial.direction or config.decision.direction
    dates = " to ".join(str(moment.astype("datetime64[D]")) for moment in span)
    groups = [name for name, symbols in (config.groups or {}).items() if account in symbols]
    group = f"{trial.group}: " if trial.seed is not None and len(groups) > 1 else ""
    whose = trial.group or account
    return {"task": f"{group}{account}, {direction}, {dates}", "training": f"{whose}, {direction}, {dates}"}


def _table(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    table = pd.DataFrame(rows)
    return table.assign(seed=_seeds(list(table["seed"])))


def _seeds(seeds: Sequence[Any]) -> Any:
    return pd.array([pd.NA if seed is None or seed != seed else int(seed) for seed in seeds], dtype="Int64")


def _curves(config: StudyConfig, results: Sequence[Result]) -> pd.DataFrame:
    """Every validation of every training that has any."""
    rows = []
    for result in results:
        trial = result.trial
        for one in result.summary.get(HISTORY, []):
            if np.isfinite(one["score"]):
                whose = ", ".join(
                    map(str, (trial.group, trial.direction or config.decision.direction, trial.spans))
                )
                rows.append(
                    (
                        trial.policy,
                        config.name,
                        whose,
                        trial.seed,
                        one["decisions"],
                        one["seconds"],
                        one["score"],
                    )
                )
    return pd.DataFrame(rows, columns=list(_CURVES))


def _facts(prepared: Prepared, results: Sequence[Result]) -> StudyFacts:
    config = prepared.config
    return StudyFacts(
        name=config.name, kind=config.kind, unit=GROWTH, task={"exchange": config.exchange.model_dump(mode="json")},
        account=config.decision.model_dump(mode="json"), code=", ".join(sorted({result.code for result in results})),
        data={name: market.fingerprint for name, market in prepared.markets.items()}, baseline=config.baseline,
        question=config.question,
    )  # fmt: skip
