"""Which column of an observation is which input of a network that was made elsewhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gearing.exchange.observing import ACCOUNT_COLUMNS, POSITION_COLUMNS
from gearing.names import shown

_OF_A_CONTRACT = re.compile(r"(?P<column>[^\[\]]+)\[(?P<symbol>[^\[\]]+)\]")
_EXAMPLE = 'columns=["log_return", "realized_volatility_24h", "effective_leverage"]'


@dataclass(frozen=True)
class Inputs:
    """Inputs of a network.

    Attributes
    ----------
    names : tuple of str
        Columns in the network's order; of several contracts "COLUMN[SYMBOL]".
    market : tuple of str
        Market columns among them, without the symbols.
    slots : tuple of str
        One name for each action.
    """

    names: tuple[str, ...]
    market: tuple[str, ...]
    slots: tuple[str, ...]


def read_inputs(columns: Sequence[str], n_actions: int, what: str) -> Inputs:
    """Check the names of a network's inputs.

    Parameters
    ----------
    columns : sequence of str
        In the order of the network's inputs; where it decides for several contracts, those of a contract are
        "COLUMN[SYMBOL]".
    n_actions : int
        Contracts that it decides for.
    what : str
        Begins messages.

    Raises
    ------
    TypeError, ValueError
        For anything that is no list of different names, and names that do not fit the number of contracts.
    """
    is_list = isinstance(columns, list | tuple) and all(isinstance(name, str) and name for name in columns)
    if not is_list or not columns:
        raise TypeError(
            f"{what}: columns is {shown(columns)}; give the names of the observation's columns in the order of the "
            f"model's inputs, as in {_EXAMPLE}."
        )
    twice = sorted({name for name in columns if list(columns).count(name) > 1})
    if twice:
        raise ValueError(f"{what}: columns holds {', '.join(twice)} twice; name each input once.")
    parts = [_OF_A_CONTRACT.fullmatch(name) for name in columns]
    symbols = tuple(dict.fromkeys(part["symbol"] for part in parts if part))
    _check_symbols(columns, parts, symbols, n_actions, what)
    base = [part["column"] if part else name for part, name in zip(parts, columns, strict=True)]
    market = dict.fromkeys(name for name in base if name not in (*POSITION_COLUMNS, *ACCOUNT_COLUMNS))
    return Inputs(tuple(columns), tuple(market), symbols or ("contract",))


def _check_symbols(
    columns: Sequence[str], parts: list[Any], symbols: tuple[str, ...], n_actions: int, what: str
) -> None:
    plain = [name for name, part in zip(columns, parts, strict=True) if part is None]
    shared = [name for name in plain if name not in ACCOUNT_COLUMNS]
    if n_actions == 1 and symbols:
        raise ValueError(
            f"{what} decides for one contract; write its columns without [{symbols[0]}], as in {plain or columns[:1]}."
        )
    if n_actions > 1 and (shared or len(symbols) != n_actions):
        raise ValueError(
            f"{what} decides for {n_actions} contracts, and columns names {len(symbols)}; write the columns of each "
            "contract as COLUMN[SYMBOL], in the order of the actions, as in log_return[BTCUSDT]."
        )


def check_count(names: Sequence[str], n_inputs: int, what: str) -> None:
    """Refuse names that are more or fewer than a network's inputs."""
    if len(names) != n_inputs:
        raise ValueError(
            f"{what} reads {n_inputs} columns, and {len(names)} are named ({', '.join(names)}); name every input once, "
            "in the order of the observation that it was trained on."
        )
