"""Was a risk budget met? The promised probability of an event compared with how often it happened afterwards."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gearing.evaluation.columns import policy_table
from gearing.evaluation.playing import Records, all_decisions, play
from gearing.evaluation.risk.safest_leverage import Probability, Starts, safest_leverage, share_of
from gearing.market.data import MarketData
from gearing.policies.controls import StopLoss
from gearing.policies.rules.risk_budget import EVENTS
from gearing.simulation.config import SimulationConfig
from gearing.simulation.simulator import Simulator


@dataclass(frozen=True)
class BudgetCheck:
    """A promised probability and the realised one.

    Attributes
    ----------
    promised : float
        The budget, a probability.
    realised : Probability
        Share of the positions that met the event, with its 95 % interval.
    leverage : float
        Mean target leverage.
    """

    promised: float
    realised: Probability
    leverage: float

    @property
    def exceeded(self) -> bool:
        """Whether even the lower bound exceeds the promise."""
        return self.realised.low > self.promised

    def __str__(self) -> str:
        verdict = "exceeded" if self.exceeded else "within budget"
        return f"promised {self.promised:.1%}, realised {self.realised} at {self.leverage:.2f}x: {verdict}"


def check_budget(
    rule: Any, market: MarketData, features: Any = None, *, seed: int = 0, **settings: Any
) -> BudgetCheck:
    """How often the positions of a risk-budget rule met its event within its horizon.

    Every decision opens a new position of the rule's leverage and holds it for one horizon: a position that is carried
    on has the margin of its past profits, and is safer than the budget says. The rule's forecasts are out of sample, so
    the whole path is.

    Parameters
    ----------
    rule : RiskBudget or ExcursionBudget
        Its event is the liquidation, or a touch of the price at which ``drawdown`` of the margin is lost
        (fees, slippage and funding are not counted, as in its formula). Its horizon is the decision interval;
        ``decision_interval`` gives it for a rule without one.
    **settings
        Of the simulation.
    """
    if getattr(rule, "event", None) not in EVENTS:
        raise ValueError(
            f"{rule!r} has no budget of liquidations or drawdowns; give a RiskBudget or an ExcursionBudget."
        )
    given = {
        "direction": "long" if rule.side > 0 else "short",
        "max_leverage": rule.max_leverage,
        "start": "first",
        "decision_interval": getattr(rule, "horizon", "24h"),
        **settings,
    }
    config = SimulationConfig(**given)
    table = policy_table(rule, market, features, config)
    path = Simulator(market, table, config)
    path.reset(seed=0)
    view, _ = all_decisions(path)
    leverage = np.asarray(rule.predict(view, deterministic=True)[0])
    # The kernel itself finds a touched price: a stop rests where the share of the margin is lost.
    touch = (StopLoss(margin=rule.drawdown),) if rule.event == "drawdown" else ()
    opened = Simulator(market, table, config.with_(controls=(*config.controls, *touch)), len(leverage))
    opened.begin(np.arange(len(leverage)), 1)
    records = Records(ledgers=True)
    play(opened, leverage[:, None], records)
    ledgers: Any = records.ledgers[:, 0]
    met = ledgers.liquidations > 0
    if touch:
        met |= ledgers.stops > 0
    # Interval estimates resample days; the contracts of a day move together.
    realised = share_of(met.mean(axis=1), 1.0, seed=seed, replications=1000)
    return BudgetCheck(rule.probability, realised, float(leverage.mean()))


def check_safest_leverage(
    market: MarketData,
    split: Any,
    *,
    event: str = "liquidation",
    horizon: str = "7d",
    max_probability: float = 0.05,
    cautious: bool = False,
    seed: int = 0,
    **exposure: Any,
) -> BudgetCheck:
    """The safest leverage of the time before ``split``, checked on the time after it.

    Parameters
    ----------
    split : time
        UTC.
    cautious : bool
        Take the leverage whose upper bound was within the budget, instead of the estimate.
    """
    before, after = market.split(split)
    found = safest_leverage(before, event, horizon, max_probability, seed=seed, **exposure)
    leverage = found.cautious if cautious else found.leverage
    if leverage == 0.0:
        raise ValueError(
            f"no leverage was within {max_probability:.1%} before {split}; allow more, or a shorter horizon."
        )
    realised = Starts(after, event=event, **exposure).probability(leverage, horizon, seed=seed)
    return BudgetCheck(max_probability, realised, leverage)
