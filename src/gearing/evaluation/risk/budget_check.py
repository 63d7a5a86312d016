"""Was a risk budget met? The promised probability of an event compared with how often it happened afterwards."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gearing.evaluation.columns import policy_table
from gearing.evaluation.playing import Records, all_decisions, play
from gearing.evaluation.risk.past_starts import Starts
from gearing.evaluation.risk.promises import Realised, realised
from gearing.evaluation.risk.safest_leverage import Promiser, SafestLeverage
from gearing.forecasters.excursion_law.scale import days_of
from gearing.market.data import MarketData
from gearing.market.timing import stamp
from gearing.policies.controls import RiskLimit, StopLoss
from gearing.policies.rules.excursion_budget import EVENTS, ExcursionBudget
from gearing.simulation.config import SimulationConfig
from gearing.simulation.simulator import Simulator


@dataclass(frozen=True)
class BudgetCheck:
    """A promised probability and the realised one.

    Attributes
    ----------
    promised : float
        The budget, a probability.
    realised : Realised
        Share of the positions that met the event, with its 95 % interval.
    leverage : float
        Mean leverage.
    warnings : tuple of str
    """

    promised: float
    realised: Realised
    leverage: float
    warnings: tuple[str, ...] = ()

    @property
    def exceeded(self) -> bool:
        """Whether even the lower bound exceeds the promise."""
        return self.realised.low > self.promised

    def __str__(self) -> str:
        verdict = "exceeded" if self.exceeded else "within budget"
        text = f"promised {self.promised:.1%}, realised {self.realised} at {self.leverage:.2f}x: {verdict}"
        return "\n".join([text, *(f"  warning    {one}" for one in self.warnings)])


def check_budget(
    rule: Any, market: MarketData, features: Any = None, *, seed: int = 0, **settings: Any
) -> BudgetCheck:
    """How often the positions of a budget met its event within its horizon.

    Every decision opens a new account that holds for one horizon: a position that is carried on has the margin of its
    past profits, and is safer than the budget says. The columns are out of sample, so the whole path is.

    Parameters
    ----------
    rule : ExcursionBudget, or any policy under a control RiskLimit
        The event is the liquidation of a position (on cross margin, of the account), or a touch of the price at which
        ``drawdown`` of the margin is lost. The horizon of the budget is the decision interval.
    features : FeatureTable, FeatureSet, or str or sequence of str, optional
        As in ``backtest``.
    **settings
        Of the simulation.
    """
    budget, config = _budget(rule, settings)
    table = policy_table(rule, market, features, config)
    path = Simulator(market, table, config)
    path.reset(seed=0)
    view, _ = all_decisions(path)
    targets = np.asarray(rule.predict(view, deterministic=True)[0])
    # The kernel itself finds a touched price: a stop rests where the share of the margin is lost.
    touch = (StopLoss(margin=budget.drawdown),) if budget.event == "drawdown" else ()
    opened = Simulator(market, table, config.with_(controls=(*config.controls, *touch)), len(targets))
    opened.begin(np.arange(len(targets)), 1)
    records = Records(ledgers=True)
    play(opened, targets[:, None], records)
    ledgers: Any = records.ledgers[:, 0]
    met = (ledgers.liquidations > 0) | ((ledgers.stops > 0) if touch else False)
    held = np.abs(opened.decided if config.controls else targets)
    leverage = float(held[np.isfinite(held)].mean())
    return BudgetCheck(budget.probability, _by_decision(met, config, seed), leverage)


def _budget(rule: Any, settings: dict[str, Any]) -> tuple[ExcursionBudget | RiskLimit, SimulationConfig]:
    """The budget that a policy, or a control of its account, promises, and the settings of the simulation."""
    limits = [one for one in settings.get("controls", ()) if isinstance(one, RiskLimit)]
    if isinstance(rule, ExcursionBudget):
        given: dict[str, Any] = {
            "direction": "long" if rule.side > 0 else "short", "max_leverage": rule.max_leverage,
        }  # fmt: skip
        budget: ExcursionBudget | RiskLimit = rule
    elif limits:
        given, budget = {"margin_mode": limits[0].margin_mode}, limits[0]
    else:
        raise ValueError(
            f"{rule!r} has no budget of liquidations or drawdowns; give an ExcursionBudget, or any policy with "
            "controls=[RiskLimit(...)]."
        )
    if budget.event not in EVENTS:
        raise ValueError(f"{budget!r} has no event of {', '.join(EVENTS)}.")
    return budget, SimulationConfig(
        **{**given, "start": "first", "decision_interval": budget.horizon, **settings}
    )


def _by_decision(met: np.ndarray, config: SimulationConfig, seed: int) -> Realised:
    """Share of the positions, or on cross margin of the accounts, with the event; decisions are a horizon apart."""
    hits = met.astype(np.float64)
    if config.margin_mode == "cross":
        hits = hits.max(axis=1, keepdims=True)
    return realised(hits.T, 0.0, seed=seed)


def check_safest_leverage(
    market: MarketData,
    split: Any,
    *,
    event: str = "liquidation",
    horizon: str = "7d",
    max_probability: float = 0.05,
    direction: str = "long",
    seed: int = 0,
    **settings: Any,
) -> BudgetCheck:
    """The law as it stood at ``split``, checked on the daily starts after it.

    Tables and calibration are those of the split; the volatility is that of each day, as a trader knows it.

    Parameters
    ----------
    split : time
        UTC.
    **settings
        contract, pool, drawdown, initial_equity, scale: see `gearing.safest_leverage`.
    """
    made = Promiser(market, horizons=[horizon], seed=seed, **settings)
    found = made.checked(stamp(split, "split"), event, horizon, max_probability, direction)
    return BudgetCheck(max_probability, found.realised, found.leverage)


def check_elsewhere(
    found: SafestLeverage, market: MarketData, *, seed: int = 0, **exposure: Any
) -> BudgetCheck:
    """A single answer, held fixed on every day of a market: how often its event came there.

    Parameters
    ----------
    market : MarketData
        Of one contract. Another contract than the answer's is warned of.
    **exposure
        Settings of :class:`gearing.evaluation.risk.past_starts.Starts`.
    """
    starts = Starts(market, event=found.event, direction=found.direction, **exposure)
    count = starts.counted(starts.times(found.leverage, found.horizon), found.horizon)
    if count < 2:
        raise ValueError(
            f"{market!r} has {count} starts whose whole {found.horizon} lie in the data; give a longer one."
        )
    hits = starts.hits(found.leverage, found.horizon)
    warnings = []
    if market.symbols[0] != found.contract:
        warnings.append(
            f"an answer for {found.contract} is used on {market.symbols[0]}, which it says nothing about"
        )
    warnings.append(f"a fixed leverage: the answer is for the volatility of {found.contract} on {found.at}")
    return BudgetCheck(
        found.max_probability,
        realised(hits, days_of(found.horizon), seed=seed),
        found.leverage,
        tuple(warnings),
    )
