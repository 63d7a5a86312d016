"""Further tables of a report: growth by regime, laxer rules, stress tests, capacity."""

from typing import Any

import pandas as pd

from gearing.evaluation.comparisons.scenarios import capacity, counterfactuals, stress_grid
from gearing.evaluation.reports.regimes import growth_by_regime
from gearing.evaluation.reports.tables import PRINTED, printed
from gearing.evaluation.result import BacktestResult
from gearing.features import FeatureTable
from gearing.market.data import MarketData
from gearing.simulation.policy import Policy

_OMITTED = ("5-95 %", "end equity")
_OF_SCENARIOS = {
    "change": ("change", "{:+.3f}"),
    **{heading: column for heading, column in PRINTED.items() if heading not in _OMITTED},
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
_SCENARIOS = {
    "Counterfactuals: the same policy under laxer rules": counterfactuals,
    "Stress tests: costs, funding, latency, maintenance": stress_grid,
    "Capacity: initial equity under tiers and square-root impact": capacity,
}


def trader_sections(
    policy: Policy, market: MarketData, features: FeatureTable, result: BacktestResult
) -> dict[str, pd.DataFrame]:
    """Tables under their headings, as text: growth by regime, counterfactuals, stress, capacity.

    Parameters
    ----------
    policy, market, features
        The inputs of ``result``; its settings are used, one changed at a time.
    result : BacktestResult
    """
    settings: Any = vars(result.config)
    regimes = printed(growth_by_regime(result, market), _OF_REGIMES)
    scenarios = {
        heading: printed(play(policy, market, features, **settings), _OF_SCENARIOS)
        for heading, play in _SCENARIOS.items()
    }
    return {"Growth by regime: volatility, trend and the sign of funding": regimes, **scenarios}
