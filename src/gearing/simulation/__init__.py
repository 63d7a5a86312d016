"""Accounts over markets: the Simulator, its settings, observations, action schemes, rewards and the Policy protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gearing.lazy import lazy_exports

if TYPE_CHECKING:
    from gearing.simulation.actions import (
        ActionScheme as ActionScheme,
        LeverageScheme as LeverageScheme,
        ResidualScheme as ResidualScheme,
        TierScheme as TierScheme,
        action_scheme as action_scheme,
        make_scheme as make_scheme,
    )
    from gearing.simulation.config import (
        SimulationConfig as SimulationConfig,
        Slippage as Slippage,
        market_a_settings as market_a_settings,
        market_b_settings as market_b_settings,
    )
    from gearing.simulation.controls import (
        Control as Control,
        Situation as Situation,
        apply_controls as apply_controls,
    )
    from gearing.simulation.hooks import PolicyHooks as PolicyHooks
    from gearing.simulation.observation import (
        Observation as Observation,
        ObservationLayout as ObservationLayout,
    )
    from gearing.simulation.policy import Policy as Policy, check_columns as check_columns
    from gearing.simulation.rewards import (
        CVaRAware as CVaRAware,
        DifferentialSharpe as DifferentialSharpe,
        DrawdownAware as DrawdownAware,
        LiquidationAware as LiquidationAware,
        LogGrowth as LogGrowth,
        MaxDrawdownAware as MaxDrawdownAware,
        MeanVariance as MeanVariance,
        Reward as Reward,
        make_reward as make_reward,
        reward as reward,
    )
    from gearing.simulation.simulator import Simulator as Simulator
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__)
