"""The rules traders use, one family per file; available as ``gearing.rules``."""

from gearing.lazy import reexports
from gearing.policies.registry import (
    describe_rule as describe_rule,
    make_rule as make_rule,
    rule as rule,
    rule_names as rule_names,
)
from gearing.policies.rules.basic import FixedLeverage as FixedLeverage, Tiered as Tiered
from gearing.policies.rules.book_kelly import BookKelly as BookKelly
from gearing.policies.rules.book_trend import BookTrend as BookTrend
from gearing.policies.rules.books import (
    Book as Book,
    BookCarry as BookCarry,
    BookEqual as BookEqual,
    BookInverseVolatility as BookInverseVolatility,
)
from gearing.policies.rules.combined import (
    Average as Average,
    BookVolatilityTarget as BookVolatilityTarget,
)
from gearing.policies.rules.conditions import (
    Condition as Condition,
    Scaled as Scaled,
    funding_cost as funding_cost,
    liquidity_depth as liquidity_depth,
    trend_confirmation as trend_confirmation,
)
from gearing.policies.rules.excursion_budget import ExcursionBudget as ExcursionBudget
from gearing.policies.rules.growth import DrawdownControlled as DrawdownControlled, Kelly as Kelly
from gearing.policies.rules.portfolio import (
    PortfolioVolatilityTarget as PortfolioVolatilityTarget,
    RiskParity as RiskParity,
)
from gearing.policies.rules.rule import Rule as Rule
from gearing.policies.rules.volatility import (
    DynamicATR as DynamicATR,
    DynamicBollinger as DynamicBollinger,
    InverseATR as InverseATR,
    InverseVariance as InverseVariance,
    VolatilityTarget as VolatilityTarget,
    VolatilityWeighted as VolatilityWeighted,
)

__all__ = reexports(__name__)
