"""Metrics of tracked runs: the same name means the same in every run, of a study or of a trial, of any kind.

``log_growth`` and ``regret`` are log returns a year, ``path_growth`` is one over a generated path with a crash,
``score`` is the share of the best possible growth. A name without a prefix belongs to the run itself (of a study: to
its main policy, which the tag ``policy`` names); ``NAME/metric`` belongs to a policy or a contract of it.
"""

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any


def is_number(value: Any) -> bool:
    """Whether a value is a number that a tracked run can show; NaN and infinity are none."""
    return isinstance(value, Real) and math.isfinite(value)


def numbers_of(values: Mapping[str, Any]) -> dict[str, float]:
    """Those of some values that are numbers."""
    return {name: float(value) for name, value in values.items() if is_number(value)}


_OF_POLICIES = frozenset(
    {
        "log_growth", "path_growth", "score", "regret", "sharpe", "max_drawdown", "effective_leverage", "liquidations",
        "liquidated", "ruined", "untrained", "trained_decisions", "versus_baseline", "versus_fixed", "qlike", "mcs_p",
    }
)  # fmt: skip


def of_policies(rows: Mapping[str, Mapping[str, Any]], main: str | None) -> dict[str, float]:
    """Metrics of the main policy under their own names, and the first to look at of every policy under its name."""
    named = {
        f"{policy}/{name}": value
        for policy, row in rows.items()
        for name, value in numbers_of(row).items()
        if name in _OF_POLICIES
    }
    return numbers_of(rows.get(main or "", {})) | named
