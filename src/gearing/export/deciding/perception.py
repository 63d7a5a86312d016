"""What a decision is made from: the market columns of an observation, prices, and what was refused on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gearing.export.account.quotes import Quotes
from gearing.export.deciding.decision import Refusal


@dataclass(frozen=True, eq=False)
class Perception:
    """Everything that a decision takes from the market.

    Attributes
    ----------
    quotes : Quotes or None
        None where no price could be read.
    columns : (n_contracts, n_columns) float32, or None
        Market columns of the observation; None where the bars were refused.
    time : datetime64[ms] or None
        The last due close; None where no moment was given and the bars were refused.
    notes : tuple of str
    refusals : tuple of Refusal
    inputs : mapping of str to str
        SHA-256 of what was given, for the log.
    """

    quotes: Quotes | None
    columns: np.ndarray | None
    time: np.datetime64 | None = None
    notes: tuple[str, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values; `from_dict` gives the same bits."""
        return {
            "quotes": None if self.quotes is None else self.quotes.as_dict(),
            "columns": None if self.columns is None else self.columns.tolist(),
            "time": None if self.time is None else str(self.time),
            "notes": list(self.notes),
            "refusals": [vars(one) for one in self.refusals],
            "inputs": dict(self.inputs),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Perception:
        """What `as_dict` wrote."""
        quotes, columns, time = values["quotes"], values["columns"], values["time"]
        return cls(
            None if quotes is None else Quotes.from_dict(quotes),
            None if columns is None else np.array(columns, np.float32),
            None if time is None else np.datetime64(time, "ms"),
            tuple(values["notes"]),
            tuple(Refusal(**one) for one in values["refusals"]),
            dict(values["inputs"]),
        )
