"""What speaks for an exported policy: its daily growth in the test, next to the baseline's."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gearing.storage.digest import digest
from gearing.studies.study.config import StudyConfig
from gearing.studies.study.leaderboard import Entry, on_common_days
from gearing.studies.study.prepare import Prepared


def evidence_of(prepared: Prepared, entries: Sequence[Entry]) -> dict[str, Any] | None:
    """Daily log growth of the exported policy, mean over an agent's seeds, and of the baseline; None without either.

    ``code`` names all code that made it, ``account`` is a digest of the account's settings.
    """
    config = prepared.config
    agents = [one for one in entries if one.policy == config.export and not one.overlay]
    others = [one for one in entries if one.policy == config.baseline and not one.overlay]
    if not agents or not others:
        return None
    used = [*agents, others[0]]
    days, growth = on_common_days(used)
    return {
        "study": config.name,
        "policy": str(config.export),
        "seeds": [one.seed for one in agents if one.seed is not None],
        "code": ", ".join(sorted({one.code or config.code for one in used})),
        "data": {name: market.fingerprint for name, market in prepared.markets.items()},
        "account": _account(config),
        "days": np.datetime_as_string(days, unit="D").tolist(),
        "growth": growth[:-1].mean(axis=0).tolist(),
        "baseline": config.baseline,
        "baseline_growth": growth[-1].tolist(),
        "ruined": any(one.result.ruined for one in agents),
    }


def _account(config: StudyConfig) -> str:
    return digest(config.model_dump(mode="json", include={"decision", "exchange"}))
