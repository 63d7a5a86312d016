"""What the functions of the kernel read, in two named tuples.

`Market` is what an account trades in, `Terms` what applies to one of its positions in one row. Compiled and
interpreted code read both alike.
"""

from typing import Any, NamedTuple

from gearing.exchange.marking import hot, part


class Market(NamedTuple):
    """Records of the market of one account; see ``records.py``.

    Attributes
    ----------
    contracts : (n_contracts,) records of ``contract_dtype``
    config : record of ``config_dtype``
    tiers : (n_tiers,) records of ``margin_tier_dtype``
    rows : (n_rows, n_contracts) records of ``row_dtype``
    settlements : (n_settlements,) records of ``settlement_dtype``
    """

    contracts: Any
    config: Any
    tiers: Any
    rows: Any
    settlements: Any


class Terms(NamedTuple):
    """Contract, configuration, tiers and row of one position."""

    contract: Any
    config: Any
    tiers: Any
    row: Any


@part("with_slots", 1)
def n_slots(market):
    """Number of positions that an account may have: a leg of a contract each."""
    return 2 * market.contracts.size if market.config.hedge else market.contracts.size


@hot
def contract_of(slot, config):
    """Contract of a slot: two legs share one in hedge mode."""
    return slot // 2 if config.hedge else slot


@part("with_inverse", False)
def is_inverse(contract):
    """Whether a contract is inverse: it counts quote and settles in base."""
    return contract.inverse
