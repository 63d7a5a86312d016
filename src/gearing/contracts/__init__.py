"""Contracts, dated margin tiers and venue profiles, shipped with their sources."""

from gearing.contracts.contract import Contract
from gearing.contracts.shipped import shipped_schedules, shipped_symbols
from gearing.contracts.tiers import MARGIN_TIER_DTYPE, MarginTier, TierSchedule
from gearing.contracts.venues import ContractSpec, VenueProfile, register_venue, venue, venue_names

__all__ = [
    "MARGIN_TIER_DTYPE",
    "Contract",
    "ContractSpec",
    "MarginTier",
    "TierSchedule",
    "VenueProfile",
    "register_venue",
    "shipped_schedules",
    "shipped_symbols",
    "venue",
    "venue_names",
]
