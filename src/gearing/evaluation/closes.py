"""What accounts were worth at the closes of bars and days, whatever the clock of their decisions.

Metrics of a path are those of its daily closes: every 24 hours from the first decision. A decision clock of a week, or
one that decides at the entries of trades only, has no values there; the kernel records them.
"""

import numpy as np

from gearing.market.timing import DAY
from gearing.simulation.simulator import Simulator

Floats = np.ndarray


def daily_stamps(first: np.datetime64, last: np.datetime64) -> np.ndarray:
    """Every 24 hours after ``first``, up to ``last`` (n_days,) datetime64[ms]."""
    return first + np.arange(1, int((last - first) // DAY) + 1) * DAY


class Closes:
    """Records accounts that all begin at the same decision of one path, at the closes of its rows or days.

    Parameters
    ----------
    simulator : Simulator
        Its accounts stand at their first decision.
    time : (n_decisions + 1,) datetime64[ms]
        Moments of the decisions, and of the end.
    every_row : bool
        Whether to record all rows, which the ends of trades need, or the daily closes alone.

    Attributes
    ----------
    days : (n_days,) datetime64[ms]
        Every 24 hours from the first decision.
    """

    def __init__(self, simulator: Simulator, time: np.ndarray, every_row: bool):
        self.time, self.days = time, daily_stamps(time[0], time[-1])
        account, times = simulator.accounts[0], simulator.tape.row_time
        self._first, last = int(account.row), int(account.last_row)
        self._opens = times[self._first : last]
        # the row that closes at a stamp is the last one that opens before it
        self._of_days = np.searchsorted(self._opens, self.days) - 1
        rows = np.arange(last - self._first) if every_row else self._of_days
        self._records = simulator.record_closes(self._first + rows)
        self._every_row = every_row

    def daily(self, equity: Floats, lived: np.ndarray) -> tuple[Floats, Floats]:
        """Equity (n_accounts, n_days) and effective leverage (n_accounts, n_days, n_slots) at the daily closes.

        Parameters
        ----------
        equity : (n_accounts, n_decisions + 1)
            At the decisions and the end; constant after a ruin.
        lived : (n_accounts,) int
            Intervals of each account before its ruin or the end.
        """
        found = self._records[:, self._of_days] if self._every_row else self._records
        after = np.searchsorted(self.time, self.days)  # the decision at a stamp or after it
        known = (self.time[after] == self.days) | (after > lived[:, None])
        worth = np.where(known, equity[:, after], found["equity"][..., 0])
        held = np.where(after > lived[:, None], 0.0, 1.0)[..., None] * found["value"]
        return worth, held / np.where(worth > 0.0, worth, np.inf)[..., None]

    def ends(self, k: int, before: np.ndarray, acted: np.ndarray) -> np.ndarray:
        """Moments at which positions of the first account became flat in the k-th interval (n_slots,); NaT if not.

        An order fills at the open of a bar; a liquidation or a resting order inside it is dated by that open, too.

        Parameters
        ----------
        before, acted : (n_slots,) bool
            Whether there was a position before the interval, and whether an order or a liquidation changed one.
        """
        opens = self._opens
        first, last = np.searchsorted(opens, self.time[k : k + 2])
        held = self._records["value"][0, first:last] != 0.0
        ends = np.full(before.size, np.datetime64("NaT", "ms"))
        for slot in np.flatnonzero((before | acted) & ~held[-1]):
            rows = np.flatnonzero(held[:, slot])
            ends[slot] = opens[first + (rows[-1] + 1 if rows.size else 0)]
        return ends
