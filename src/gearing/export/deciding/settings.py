"""How a decision is made, besides the bundle: what a user chooses, and what a session limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gearing.export.bundle.files import BundleError
from gearing.export.calls.listing import check_venue
from gearing.export.deciding.decision import Refusal
from gearing.export.deciding.refusals import Fallback
from gearing.names import check_names

OFF = "off"
MAX_OUTSIDE = 0.5  # of the range seen in training


@dataclass(frozen=True)
class Bounds:
    """What limits a decision from outside the model.

    Attributes
    ----------
    state : str
        ACTIVE, REDUCING (no position grows) or HALTED.
    leverage : float
        Largest sum of absolute notionals over equity.
    notional : float
        Largest notional of a contract [settle coin].
    refusals : tuple of Refusal
        Found before the decision.
    """

    state: str = "ACTIVE"
    leverage: float = np.inf
    notional: float = np.inf
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True)
class Settings:
    """How a decision is made, besides the bundle.

    Attributes
    ----------
    fallback : Fallback or None
    venue : str or None
        Whose calls are listed.
    max_outside : float or None
        How far beyond the ranges of training an observation may lie; None does not check.
    bounds : Bounds
    pending : sequence of mappings
        Orders that were sent and are not filled: ``contract`` and signed ``quantity``. They count as filled.
    """

    fallback: Fallback | None = None
    venue: str | None = None
    max_outside: float | None = MAX_OUTSIDE
    bounds: Bounds = field(default_factory=Bounds)
    pending: tuple[Mapping[str, Any], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values; None is infinite."""
        bounds = self.bounds
        return {
            "fallback": None if self.fallback is None else str(self.fallback),
            "venue": self.venue,
            "max_outside": self.max_outside,
            "bounds": {
                "state": bounds.state,
                "leverage": None if np.isinf(bounds.leverage) else bounds.leverage,
                "notional": None if np.isinf(bounds.notional) else bounds.notional,
                "refusals": [vars(one) for one in bounds.refusals],
            },
            "pending": [dict(one) for one in self.pending],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Settings:
        """What `as_dict` wrote."""
        given = values["bounds"]
        limits = [np.inf if given[name] is None else given[name] for name in ("leverage", "notional")]
        refusals = tuple(Refusal(**one) for one in given["refusals"])
        fallback = None if values["fallback"] is None else Fallback.read(values["fallback"])
        bounds = Bounds(given["state"], limits[0], limits[1], refusals)
        return cls(fallback, values["venue"], values["max_outside"], bounds, tuple(values["pending"]))


def read_settings(
    fallback: Any = None,
    venue: str | None = None,
    max_outside: float | str = MAX_OUTSIDE,
    pending: Sequence[Mapping[str, Any]] = (),
    bounds: Bounds | None = None,
    **unknown: Any,
) -> Settings:
    """Settings of a decision.

    Parameters
    ----------
    fallback : str or Fallback, optional
        What a refused decision does: "hold", "flat" or "reduce:2"; without one it raises.
    venue : {"binance-usdm", "bybit", "okx"}, optional
        Whose calls are listed.
    max_outside : float or "off", optional
        How far beyond what was seen in training an observation may lie, as a share of the range seen.
    pending : sequence of mappings, optional
        Orders that were sent and are not filled: ``contract`` and signed ``quantity``.

    Raises
    ------
    BundleError
        For an unknown setting or a value that is none.
    """
    check_names(
        "a decision has no setting", unknown, ("fallback", "venue", "max_outside", "pending"), BundleError
    )
    check_venue(venue)
    return Settings(
        None if fallback is None else Fallback.read(fallback),
        venue,
        _max_outside(max_outside),
        bounds or Bounds(),
        tuple(pending),
    )


def _max_outside(given: float | str) -> float | None:
    if given == OFF:
        return None
    try:
        share = np.nan if isinstance(given, bool) else float(given)
    except (TypeError, ValueError):
        share = np.nan
    if not 0.0 <= share < np.inf:
        raise BundleError(
            f"max_outside is {given!r}; give a share of the range seen in training, or {OFF!r} (--max-outside)."
        )
    return share
