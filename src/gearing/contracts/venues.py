"""Venue profiles: fees, rounding and exchange-specific rules, as dated data."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any, Literal

import numpy as np

from gearing.contracts.contract import Contract
from gearing.contracts.shipped import read_data
from gearing.contracts.tiers import TierSchedule
from gearing.names import Register

_SHIPPED = ("binance-usdm", "binance-coinm", "bybit", "okx", "hyperliquid", "bitmex")  # JSON files
CHOICES = {
    "settlement": ("bankruptcy", "fee_then_return"),
    "maintenance": ("mark", "entry", "mark_plus_fee"),
    "leverage_change": ("free", "up_only", "flat_only"),
    "funding_debit": ("margin", "free_balance_first"),
}


@dataclass(frozen=True)
class ContractSpec:
    """Rounding of one contract at one venue; zero means none."""

    tick_size: float = 0.0
    lot_size: float = 0.0
    min_notional: float = 0.0
    multiplier: float = 1.0


@dataclass(frozen=True)
class VenueProfile:
    """The rules and fees of an exchange on one day.

    Parameters
    ----------
    name : str
    as_of : date
    taker_fee, maker_fee : float
        Fractions of traded notional at the lowest level; a negative maker fee is a rebate.
    fee_levels : tuple of (level, taker, maker)
        All known levels; the first is the default.
    liquidation_fee : float
        Fraction of the liquidated notional, charged under ``fee_then_return``.
    settlement : {"bankruptcy", "fee_then_return"}
        What a liquidation returns: nothing, or what remains after the fee.
    maintenance : {"mark", "entry", "mark_plus_fee"}
        Price at which the maintenance margin is valued, with or without the closing fee.
    leverage_change : {"free", "up_only", "flat_only"}
        How the leverage setting of an open isolated position may change.
    funding_debit : {"margin", "free_balance_first"}
        What pays the funding of an isolated position: its margin, or the free balance as far as it goes (Bybit).
    leverage_step : float
        Step of leverage settings: 1 where the venue takes whole numbers only.
    funding_interval_hours : float
        The usual interval; the schedule itself is data.
    kind : {"linear", "inverse"}
    settle : str
    marginal_tiers : bool
        False where the whole position pays its tier's rate (OKX).
    specs : mapping symbol -> ContractSpec
    sources, notes : tuple of str
    confirmed : mapping rule -> {"venue record", "venue page", "formula only", "general knowledge"}
        How each rule or number was checked.
    """

    name: str
    as_of: date
    taker_fee: float
    maker_fee: float
    fee_levels: tuple[tuple[str, float, float], ...] = ()
    liquidation_fee: float = 0.0
    settlement: Literal["bankruptcy", "fee_then_return"] = "bankruptcy"
    maintenance: Literal["mark", "entry", "mark_plus_fee"] = "mark"
    leverage_change: Literal["free", "up_only", "flat_only"] = "free"
    funding_debit: Literal["margin", "free_balance_first"] = "margin"
    leverage_step: float = 1.0
    funding_interval_hours: float = 8.0
    kind: Literal["linear", "inverse"] = "linear"
    settle: str = "USDT"
    marginal_tiers: bool = True
    specs: Mapping[str, ContractSpec] = field(default_factory=dict, hash=False)
    sources: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    confirmed: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{self.name}: {name} is one of {allowed}, not {getattr(self, name)!r}.")
        for name in ("taker_fee", "maker_fee", "liquidation_fee"):
            if not -0.01 < getattr(self, name) < 0.1:
                raise ValueError(
                    f"{self.name}: {name} {getattr(self, name)} must be a fraction, 0.0005 for 0.05 %."
                )
        for name in ("funding_interval_hours", "leverage_step"):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"{self.name}: {name} {getattr(self, name)} must be positive.")

    @property
    def funding_interval(self) -> np.timedelta64:
        """The usual time between settlements [ms]."""
        return np.timedelta64(round(self.funding_interval_hours * 3_600_000), "ms")

    def spec(self, symbol: str) -> ContractSpec:
        """Rounding of a contract; a symbol without an entry is not rounded."""
        return self.specs.get(symbol, ContractSpec())

    def contract(self, symbol: str, schedules: Sequence[TierSchedule]) -> Contract:
        """Build a contract with this venue's rounding and the given margin tiers."""
        sizes = asdict(self.spec(symbol))
        return Contract(symbol, kind=self.kind, settle=self.settle, schedules=tuple(schedules), **sizes)

    def fees(self, level: str) -> tuple[float, float]:
        """Return (taker, maker) of a fee level [fraction of notional]."""
        table = {name: (taker, maker) for name, taker, maker in self.fee_levels}
        if level not in table:
            raise ValueError(f"{self.name} has no fee level {level!r}; known: {', '.join(table) or 'none'}.")
        return table[level]

    def __str__(self) -> str:
        lines = [
            f"{self.name}, as of {self.as_of}",
            f"  fees             taker {self.taker_fee:.4%}, maker {self.maker_fee:.4%}, "
            f"liquidation {self.liquidation_fee:.4%}",
            f"  liquidation      {self.settlement}; maintenance margin at {self.maintenance}",
            f"  leverage setting {self.leverage_change} on an open isolated position",
            f"  funding          every {self.funding_interval_hours:g} h, from {self.funding_debit.replace('_', ' ')}",
            f"  contracts        {self.kind}, settled in {self.settle}; rounding known for {len(self.specs)}",
            *(f"  checked          {rule}: {how}" for rule, how in self.confirmed.items()),
            *(f"  source           {source}" for source in self.sources),
            *(f"  note             {note}" for note in self.notes),
        ]
        return "\n".join(lines)


def venue_names() -> tuple[str, ...]:
    """Names of all venue profiles: shipped ones first, then registered ones."""
    return VENUES.names()


def venue(name: str = "binance-usdm") -> VenueProfile:
    """Return a venue profile.

    Raises
    ------
    ValueError
        For an unknown name; the message names the nearest one.
    """
    return VENUES[name]


def register_venue(profile: VenueProfile) -> None:
    """Register a profile under its name.

    Raises
    ------
    ValueError
        If another profile has that name.
    """
    if profile.name in VENUES and VENUES[profile.name] != profile:
        raise ValueError(f"a venue named {profile.name!r} is already registered; choose another name.")
    VENUES.add(profile.name, profile, source=VenueProfile)


def _profile(data: dict[str, Any]) -> VenueProfile:
    data["as_of"] = date.fromisoformat(data["as_of"])
    data["specs"] = {symbol: ContractSpec(*row) for symbol, row in data["specs"].items()}
    data["fee_levels"] = tuple((level, taker, maker) for level, taker, maker in data["fee_levels"])
    data["sources"], data["notes"] = tuple(data["sources"]), tuple(data["notes"])
    return VenueProfile(**data)


VENUES: Register[VenueProfile] = Register("venue", "gearing.venues")
for _name in _SHIPPED:
    VENUES.add(_name, _profile(read_data(f"{_name}.json")), source=VenueProfile)
