"""Evaluation of policies: backtests, performance measures, statistical inference, tables and figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gearing.lazy import lazy_exports

if TYPE_CHECKING:
    from gearing.evaluation import reconcile as reconcile, sweep as sweep
    from gearing.evaluation.backtesting import backtest as backtest
    from gearing.evaluation.comparisons.matched_fixed import (
        FixedGrid as FixedGrid,
        MatchedFixed as MatchedFixed,
        matched_fixed as matched_fixed,
    )
    from gearing.evaluation.comparisons.placebo import Placebo as Placebo, circular_shifts as circular_shifts
    from gearing.evaluation.comparisons.responses import leverage_response as leverage_response
    from gearing.evaluation.comparisons.scenarios import (
        Scenario as Scenario,
        capacity as capacity,
        counterfactuals as counterfactuals,
        stress_grid as stress_grid,
    )
    from gearing.evaluation.conformance import PolicyError as PolicyError, check_policy as check_policy
    from gearing.evaluation.metrics import (
        Performance as Performance,
        activity as activity,
        annual_return as annual_return,
        calmar_ratio as calmar_ratio,
        conditional_value_at_risk as conditional_value_at_risk,
        daily_equity as daily_equity,
        daily_log_growth as daily_log_growth,
        daily_returns as daily_returns,
        leverage_profile as leverage_profile,
        log_growth as log_growth,
        max_drawdown as max_drawdown,
        performance as performance,
        sharpe_ratio as sharpe_ratio,
        sortino_ratio as sortino_ratio,
        volatility as volatility,
    )
    from gearing.evaluation.playing import Observer as Observer, play as play
    from gearing.evaluation.reports.report import (
        growth_by_regime as growth_by_regime,
        html_report as html_report,
    )
    from gearing.evaluation.reports.tables import comparison as comparison
    from gearing.evaluation.reports.trades import trades as trades
    from gearing.evaluation.result import BacktestResult as BacktestResult
    from gearing.evaluation.risk.budget_check import (
        BudgetCheck as BudgetCheck,
        check_budget as check_budget,
        check_safest_leverage as check_safest_leverage,
    )
    from gearing.evaluation.risk.distances import join_distances as join_distances
    from gearing.evaluation.risk.drawdown_budget import (
        BudgetScale as BudgetScale,
        realised_drawdown as realised_drawdown,
        scale_to_budget as scale_to_budget,
    )
    from gearing.evaluation.risk.past_starts import risk_by_leverage as risk_by_leverage
    from gearing.evaluation.risk.safest_leverage import (
        Promiser as Promiser,
        SafestLeverage as SafestLeverage,
        safest_leverage as safest_leverage,
    )
    from gearing.evaluation.statistics.inference import (
        Difference as Difference,
        growth_difference as growth_difference,
        mean_interval as mean_interval,
        pooled_growth_difference as pooled_growth_difference,
        sharpe_difference as sharpe_difference,
        sharpe_interval as sharpe_interval,
    )
    from gearing.evaluation.statistics.multiple_testing import step_down as step_down
    from gearing.evaluation.statistics.scores import (
        aggregate as aggregate,
        interquartile_mean as interquartile_mean,
        performance_profile as performance_profile,
        probability_of_improvement as probability_of_improvement,
    )
    from gearing.evaluation.statistics.selection import (
        backtest_overfitting as backtest_overfitting,
        confidence_set as confidence_set,
        deflated_sharpe as deflated_sharpe,
        probabilistic_sharpe as probabilistic_sharpe,
        superior_ability as superior_ability,
        superior_policies as superior_policies,
    )
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__)
