"""What a trader asks beyond the table: when it earned, how much is optimism, what would break it, at what size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gearing.evaluation.comparisons.scenarios import capacity, counterfactuals, stress_grid
from gearing.evaluation.reports.regimes import growth_by_regime
from gearing.evaluation.reports.tables import PRINTED, printed
from gearing.evaluation.result import BacktestResult
from gearing.features import FeatureTable
from gearing.market.data import MarketData
from gearing.simulation.policy import Policy

if TYPE_CHECKING:
    import pandas as pd

_NOT_TOLD = ("5-95 %", "end equity")
_OF_SCENARIOS = {
    "change": ("change", "{:+.3f}"),
    **{heading: column for heading, column in PRINTED.items() if heading not in _NOT_TOLD},
    "ruined": ("ruined", "{}"),
    "capped": ("capped", "{:.0f}"),
    "same sign": ("sign_holds", "{}"),
}
_OF_REGIMES = {
    "of the time": ("time", "{:.1%}"),
    "log growth/y in it": ("growth", "{:+.2f}"),
    "of all growth": ("share", "{:+.0%}"),
    "eff. lev.": ("effective_leverage", "{:.2f}"),
    "liquidations": ("liquidations", "{:.0f}"),
}


def trader_sections(
    policy: Policy, market: MarketData, features: FeatureTable, result: BacktestResult
) -> dict[str, pd.DataFrame]:
    """Tables under their headings, as text: growth by regime, counterfactuals, stress, capacity.

    Parameters
    ----------
    policy, market, features
        What ``result`` was made of; the same settings are used, one changed at a time.
    result : BacktestResult
    """
    settings: dict[str, Any] = {
        name: getattr(result.config, name) for name in result.config.__dataclass_fields__
    }
    given: Any = (policy, market, features)
    return {
        "When it grew: by volatility, trend and the sign of funding": printed(
            growth_by_regime(result, market), _OF_REGIMES
        ),
        "How much is the simulator's optimism: the same policy under laxer rules": printed(
            counterfactuals(*given, **settings), _OF_SCENARIOS
        ),
        "What would break it: costs, funding, latency, maintenance": printed(
            stress_grid(*given, **settings), _OF_SCENARIOS
        ),
        "At what size: initial equity under tiers and square-root impact": printed(
            capacity(*given, **settings), _OF_SCENARIOS
        ),
    }
