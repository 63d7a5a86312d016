"""The rules traders use, one family per file; available as ``gearing.rules``."""

from __future__ import annotations

from gearing.policies.registry import describe_rule, make_rule, rule, rule_names
from gearing.policies.rules.basic import FixedLeverage, Tiered
from gearing.policies.rules.conditions import (
    Condition,
    Scaled,
    funding_cost,
    liquidity_depth,
    trend_confirmation,
)
from gearing.policies.rules.growth import DrawdownControlled, Kelly
from gearing.policies.rules.portfolio import PortfolioVolatilityTarget, RiskParity
from gearing.policies.rules.risk_budget import ExcursionBudget, RiskBudget
from gearing.policies.rules.rule import Rule
from gearing.policies.rules.volatility import (
    DynamicATR,
    DynamicBollinger,
    InverseATR,
    InverseVariance,
    VolatilityTarget,
    VolatilityWeighted,
)

__all__ = [
    "Condition",
    "DrawdownControlled",
    "DynamicATR",
    "DynamicBollinger",
    "ExcursionBudget",
    "FixedLeverage",
    "InverseATR",
    "InverseVariance",
    "Kelly",
    "PortfolioVolatilityTarget",
    "RiskBudget",
    "RiskParity",
    "Rule",
    "Scaled",
    "Tiered",
    "VolatilityTarget",
    "VolatilityWeighted",
    "describe_rule",
    "funding_cost",
    "liquidity_depth",
    "make_rule",
    "rule",
    "rule_names",
    "trend_confirmation",
]
