"""One row of a statement in the form that the replay reads, whatever the venue."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

NO_TIME = np.datetime64("NaT", "ms")
MISSING = "missing"  # label of a row that is not there; it stands at the row behind the gap
API_DECIMALS = 8  # of an amount of money in a venue's interface; trailing zeros may be left out


@dataclass(frozen=True)
class Line:
    """One row of a statement.

    Attributes
    ----------
    number : int, counted from 1 in the file
    time : datetime64[ms], UTC; NaT for a snapshot without a time, which stands after all other rows
    kind : {"fill", "funding", "liquidation", "position", "closed", "entry", "skipped"}
        "entry" is an entry of the account's ledger that repeats a number of a fill (fee, profit); "closed" the summary
        of a closed position; "skipped" has no number that the rules of the exchange determine.
    symbol : str, the venue's name of the contract; "" where the row has none
    side : +1 a buy or a long, -1 a sell or a short, 0 if not stated
    given : mapping name -> text, what the row states and the replay takes as given (quantity, price, rate, ...)
    printed : mapping name -> text, what the replay computes and compares; of a liquidation ``execution_price``, the
        ``limit_price`` of its order (Binance) and the ``trigger_mark`` (Bybit)
    file : str, where the row stands
    label : str, the venue's name of the kind, by which skipped rows are counted
    leg : {"", "long", "short"}, the position it belongs to in hedge mode
    trade, order : str, ids that rows about the same execution share
    coins : mapping name of a printed amount -> coin, where the row states it
    decimals : mapping name of a printed amount -> decimals, where they are not those of ``API_DECIMALS``
    unread : mapping name -> reason, printed numbers that are listed as not checked
    identity : tuple of str, equal for the same record on two pages; empty where the record has no id
    balance : (coin, change, balance after it), where the row prints them; the change may be ""
    sequence : int, orders executions of the same moment; -1 where the venue numbers none
    notes : tuple of str, what was done with the row's fields and times
    instead : {"", "fill", "funding", "liquidation"}, what an entry is played as where no other row is about its trade
    forced : bool, whether the venue traded for the account, at a fee that is not one of the account's rates
    by_side : bool, whether the venue tells the positions of hedge mode apart by what a row closed or left
    """

    number: int
    time: np.datetime64
    kind: str
    symbol: str
    side: int = 0
    given: Mapping[str, str] = field(default_factory=dict)
    printed: Mapping[str, str] = field(default_factory=dict)
    file: str = "statement"
    label: str = ""
    leg: str = ""
    trade: str = ""
    order: str = ""
    coins: Mapping[str, str] = field(default_factory=dict)
    decimals: Mapping[str, int] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)
    identity: tuple[str, ...] = ()
    balance: tuple[str, str, str] | None = None
    sequence: int = -1
    notes: tuple[str, ...] = ()
    instead: str = ""
    forced: bool = False
    by_side: bool = False

    @property
    def place(self) -> str:
        """File and line."""
        return f"{self.file}, line {self.number}"
