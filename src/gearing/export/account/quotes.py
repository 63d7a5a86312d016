"""Prices of a decision."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Quotes:
    """Prices at which an account is valued and its orders are sized; arrays of shape (n_contracts,).

    Attributes
    ----------
    time : datetime64[ms]
        The deciding close.
    last, mark : array
        Traded price and mark price at that close.
    spread : array
        Range of the last bar over its close, for the assumed slippage.
    newest : array
        Mark at the close of the newest whole bar.
    unknown : tuple of int
        Contracts without any present price: neither bars nor the venue's mark, so that the entry price stands here.
        Nothing bounds the price of an order by it.
    """

    time: np.datetime64
    last: np.ndarray
    mark: np.ndarray
    spread: np.ndarray
    newest: np.ndarray
    unknown: tuple[int, ...] = ()

    @classmethod
    def of(cls, market: Any, newest: np.ndarray) -> "Quotes":
        """Of the last bar of a market."""
        last = market.close[-1]
        return cls(
            market.close_time[-1],
            last,
            market.mark_close[-1],
            (market.high[-1] - market.low[-1]) / last,
            newest,
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        prices = {name: getattr(self, name).tolist() for name in ("last", "mark", "spread", "newest")}
        return {"time": str(self.time), **prices}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Quotes":
        """From plain values."""
        names = ("last", "mark", "spread", "newest")
        last, mark, spread, newest = (np.array(values[name], np.float64) for name in names)
        return cls(np.datetime64(values["time"], "ms"), last, mark, spread, newest)
