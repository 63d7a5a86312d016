"""Simulation settings of the synthetic tasks with a known best leverage."""

from datetime import date
from typing import Any

from gearing.contracts import VenueProfile

MARKET_A_SHARE = 0.95  # of equity as margin: a liquidation leaves the protocol's floor of 0.05
MARKET_A_LEVERAGE = 10.0
MARKET_A_COST = 5e-4

IDEAL_VENUE = VenueProfile(
    name="ideal",
    as_of=date(2026, 11, 1),
    taker_fee=MARKET_A_COST,
    maker_fee=MARKET_A_COST,
    notes=("No exchange: a flat fee, no liquidation fee, leverage settings change freely.",),
)


def market_a_settings() -> dict[str, Any]:
    """Simulation settings in which market A pays max(1 + L R - L f, 0.05) for leverage L of equity.

    Evaluation protocol, section 8.2: isolated margin of 0.95 of equity at a target of L / 0.95, a close-only walk, no
    slippage. Two differences remain. Funding is paid on the notional at the end of the step. And an increase to
    the largest leverage must cover its own fee, so it falls short by up to a twentieth of a percent per unit of
    leverage.
    """
    return {
        "direction": "free",
        "max_leverage": MARKET_A_LEVERAGE / MARKET_A_SHARE,
        "margin_share": MARKET_A_SHARE,
        "decision_interval": "8h",
        "slippage": 0.0,
        "walk": "close",
        "venue": IDEAL_VENUE,
        "profit_is_free": True,
        "ruin_fraction": 0.0,
    }


def market_b_settings() -> dict[str, Any]:
    """Simulation settings of the market B task: ordinary mechanics, hourly decisions of either side up to 10x."""
    return {"direction": "free", "max_leverage": 10.0, "decision_interval": "1h"}
