"""Funding payments of a statement: which position a row is about, and that each settlement is booked once."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from gearing.evaluation.reconcile.records.line import Line
from gearing.evaluation.reconcile.records.row import decimals_of

_CUT = 6  # decimals after which Bybit's executions cut a rate off


def cut_off(line: Line) -> float:
    """How far a printed rate may be away: one printed with six decimals may have had more."""
    return 10.0**-_CUT if decimals_of(line.given.get("rate", "0")) == _CUT else 0.0


@dataclass
class Payments:
    """Payments booked so far.

    Attributes
    ----------
    booked : (symbol, leg, settlement) -> how often
    """

    booked: Counter[tuple[str, str, np.datetime64]] = field(default_factory=Counter)

    def legs(self, line: Line, due: Mapping[str, float], stamp: np.datetime64) -> list[str]:
        """Positions that a row is about: its own, or of two and both together those whose payment it prints.

        Parameters
        ----------
        due : leg -> payment, of the open positions of hedge mode
        """
        if line.leg or not set(due) - {""}:
            return [line.leg]
        printed = float(line.printed.get("funding", -float(line.printed.get("funding_paid", "0"))))
        unpaid = [leg for leg in due if not self.booked[line.symbol, leg, stamp]]
        choices = [*([leg] for leg in unpaid), unpaid]
        return min(choices, key=lambda legs: abs(sum(due[leg] for leg in legs) - printed))

    def book(self, symbol: str, legs: list[str], stamp: np.datetime64) -> bool:
        """Book a payment of these positions; False if there is none that was not booked before."""
        if not legs or any(self.booked[symbol, leg, stamp] for leg in legs):
            return False
        self.booked.update((symbol, leg, stamp) for leg in legs)
        return True
