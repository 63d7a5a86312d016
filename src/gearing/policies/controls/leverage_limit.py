"""Base class of controls that cap the size of a target."""

from typing import Any

import numpy as np

from gearing.simulation.controls import Situation

Decision = tuple[np.ndarray, np.recarray, Any]


class LeverageLimit:
    """A control without memory that caps the size of targets and of held positions.

    A position that would be held (target NaN) is cut to the cap where it exceeds it.
    """

    def cap(self, side: np.ndarray, now: Situation) -> np.ndarray:
        """Largest leverage of each position whose side is ``side`` (-1, 0, 1); infinite where there is no limit."""
        raise NotImplementedError

    def apply(self, targets: np.ndarray, guards: np.recarray, now: Situation, memory: Any) -> Decision:
        """Targets within the cap."""
        wanted = np.where(np.isnan(targets), now.leverage, targets)
        cap = self.cap(np.sign(wanted), now)
        over = np.abs(wanted) > cap
        return np.where(over, np.copysign(cap, wanted), targets), guards, memory
