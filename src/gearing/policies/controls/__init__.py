"""Risk controls that wrap any policy.

They are a setting of the simulated account, so environments, backtests and bundles apply them the same way:

    gearing.backtest(policy, market, controls=[StopLoss(margin=0.5), FundingGuard(0.5)])
    gymnasium.make("gearing/Perpetual-v0", controls=[CoolDown("24h")])

They act on signed targets in the order given, after the policy and its action scheme. ``Simulator.acted``
and ``BacktestResult.control_report`` report when. An exported runtime calls
``gearing.simulation.controls.apply_controls`` with the same list.
"""

from gearing.lazy import reexports
from gearing.policies.controls.exposure import (
    DrawdownFloor as DrawdownFloor,
    ExposureScale as ExposureScale,
)
from gearing.policies.controls.guards import (
    AutoDeleverage as AutoDeleverage,
    FundingGuard as FundingGuard,
    LiquidationGuard as LiquidationGuard,
    NotionalCap as NotionalCap,
)
from gearing.policies.controls.limits import (
    CoolDown as CoolDown,
    DailyLossLimit as DailyLossLimit,
    PortfolioLimit as PortfolioLimit,
)
from gearing.policies.controls.resting import (
    StopLoss as StopLoss,
    TakeProfit as TakeProfit,
    TrailingStop as TrailingStop,
)
from gearing.policies.controls.risk_limit import RiskLimit as RiskLimit
from gearing.policies.registry import (
    control as control,
    control_names as control_names,
    describe_control as describe_control,
    make_control as make_control,
)
from gearing.simulation.controls import (
    Control as Control,
    Situation as Situation,
    apply_controls as apply_controls,
)

__all__ = reexports(__name__)
