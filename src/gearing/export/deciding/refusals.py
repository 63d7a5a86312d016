"""Refusals, and what is done instead of a decision."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gearing.export.account.state import AccountState
from gearing.export.bundle.files import BundleError
from gearing.export.deciding.decision import Refusal

HOLD, REDUCE, FLAT = "hold", "reduce", "flat"
_REDUCE = re.compile(r"reduce:(\d+(\.\d+)?)")


class RefusedError(BundleError):
    """A decision was refused and no fallback was chosen.

    Attributes
    ----------
    refusals : tuple of Refusal
    """

    def __init__(self, refusals: Sequence[Refusal]):
        super().__init__(refusals[0].reason, refusals[0].code)
        self.refusals = tuple(refusals)


@dataclass(frozen=True)
class Fallback:
    """What a refused decision does: hold, reduce to a leverage, or close all positions.

    Attributes
    ----------
    kind : {"hold", "reduce", "flat"}
    leverage : float
        Of "reduce": the largest sum of absolute notionals over equity afterwards.
    """

    kind: str
    leverage: float = 0.0

    @classmethod
    def read(cls, given: Any) -> "Fallback":
        """A fallback from its text: "hold", "flat" or "reduce:2".

        Raises
        ------
        BundleError
            For any other text.
        """
        if isinstance(given, cls):
            return given
        if given in (HOLD, FLAT):
            return cls(given)
        if isinstance(given, str) and (found := _REDUCE.fullmatch(given)):
            return cls(REDUCE, float(found[1]))
        raise BundleError(
            f"fallback is {given!r}; it must be 'hold', 'flat', or 'reduce:2' for twice the equity (--fallback)."
        )

    def __str__(self) -> str:
        return f"{REDUCE}:{self.leverage:g}" if self.kind == REDUCE else self.kind

    def targets(self, state: AccountState) -> np.ndarray:
        """Target leverages of the margin share (n_contracts,); NaN holds."""
        held = state.leverage
        if self.kind == FLAT:
            return np.where(held == 0.0, np.nan, 0.0)
        gross = float(np.abs(held).sum())
        if self.kind == HOLD or gross <= self.leverage:
            return np.full(held.size, np.nan)
        wanted = held * (self.leverage / gross) / state.terms.shares
        return np.where(held == 0.0, np.nan, wanted)
