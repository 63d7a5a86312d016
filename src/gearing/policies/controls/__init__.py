"""Risk controls that wrap any policy.

They are a setting of the simulated account, so environments, backtests and bundles apply them the same way:

    gearing.backtest(policy, market, controls=[StopLoss(margin=0.5), FundingGuard(0.5)])
    gymnasium.make("gearing/Perpetual-v0", controls=[CoolDown("24h")])

They act on signed targets in the order given, after the policy and its action scheme. ``Simulator.acted``
and ``BacktestResult.control_report`` report when. An exported runtime calls
``gearing.simulation.controls.apply_controls`` with the same list.
"""

from __future__ import annotations

from gearing.policies.controls.guards import (
    AutoDeleverage,
    ExcursionGuard,
    FundingGuard,
    LiquidationGuard,
    NotionalCap,
)
from gearing.policies.controls.limits import CoolDown, DailyLossLimit, PortfolioLimit
from gearing.policies.controls.resting import StopLoss, TakeProfit, TrailingStop
from gearing.policies.registry import control, control_names, describe_control, make_control
from gearing.simulation.controls import Control, Situation, apply_controls

__all__ = [
    "AutoDeleverage",
    "Control",
    "CoolDown",
    "DailyLossLimit",
    "ExcursionGuard",
    "FundingGuard",
    "LiquidationGuard",
    "NotionalCap",
    "PortfolioLimit",
    "Situation",
    "StopLoss",
    "TakeProfit",
    "TrailingStop",
    "apply_controls",
    "control",
    "control_names",
    "describe_control",
    "make_control",
]
