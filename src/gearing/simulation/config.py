"""Settings of the simulated account, shared by env, backtest and runtime."""

import math
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from numbers import Real
from typing import Any, Self

import numpy as np

from gearing.contracts import VenueProfile, venue
from gearing.market.timing import stamp
from gearing.names import check_names, check_types, shown

CHOICES = {
    "margin_mode": ("isolated", "cross"),
    "position_mode": ("one_way", "hedge"),
    "walk": ("extremes", "close"),
    "liquidation_series": ("mark", "last"),
    "liquidation": ("full", "tier_step_down", "two_tiers_down", "fifth_first"),
    "cross_liquidation": ("all_at_once", "largest_loss_first"),
    "order": ("taker", "maker"),
    "decision": ("interval", "at_entry"),
    "settlement": ("bankruptcy", "fee_then_return", "venue"),
    "sizing": ("equity", "free_balance"),
}
REBALANCE = ("every_decision", "on_change", "never")
BAND = 2  # the kernel's code of band(x)


@dataclass(frozen=True)
class Slippage:
    """How much worse than the open an order fills, known before the open.

    slippage = constant + range_share * (high - low) / close of the bar before
               + impact * daily volatility * sqrt(order / daily volume), both over the 24 h before

    Parameters
    ----------
    constant : float
        Half spread and delay [fraction of price].
    range_share : float
        Share of the previous bar's relative range.
    impact : float
        Factor of the square-root law; about 1 is usual (Toth et al., 2011, "Anomalous price impact").
    """

    constant: float = 2e-4
    range_share: float = 0.0
    impact: float = 0.0

    def __post_init__(self) -> None:
        check_types(asdict(self), type(self))
        for name, value in asdict(self).items():
            if not 0.0 <= value < math.inf:
                raise ValueError(
                    f"slippage: {name} is {value}; it must be finite and >= 0 (a cost never helps the trader)."
                )


@dataclass(frozen=True)
class SimulationConfig:
    """Settings of the simulated account.

    Parameters
    ----------
    direction : str
        "long", "short", "free" (the policy chooses the side), or "signal:COLUMN" (a column in [-1, 1] does).
    max_leverage : float
        Largest target leverage; a contract whose top tier allows less refuses the config.
    margin_mode : {"isolated", "cross"}
    margin_share : float or tuple of float
        Share of equity posted per contract; the shares of all contracts sum to at most 1. A float is
        divided evenly among several contracts.
        Isolated: the posted margin including the order's costs, the most that can be lost. The gain of a fill better
        than the mark stays in the free balance. An order that was cut to its tier's largest notional posts the margin
        of what was filled: 4,000 of equity at 125x, where the tier allows 50,000, posts 50,000 / 125 = 400.
    sizing : {"equity", "free_balance"}
        What limits an increase: its margin share of equity, or also, as on venues, the free balance (wallet
        balance plus unrealised losses less all initial margins), which excludes unrealised profit.
    initial_equity : float
        In the settle coin. Tiers and smallest orders depend on it.
    decision_interval : str
        From one bar to a week; decisions fall on closes divisible by it from 00:00 UTC (weeks: Monday).
    rebalance : str
        "every_decision", "on_change" (of the target), "band(x)" (when effective leverage over the margin share is
        more than x away from the target), or "never" (from entry to exit).
    decision : {"interval", "at_entry"}
        "at_entry": a signal column opens and closes, leverage is fixed from entry to exit.
    action, reward : str or object
        Names or instances, see :mod:`gearing.simulation.actions` and :mod:`gearing.simulation.rewards`.
    slippage : float or Slippage
    venue : str or VenueProfile or None
        None takes the market's own.
    fee_level : str or None
        Level of the venue's fee table; None is its default.
    order : {"taker", "maker"}
        Which fee a decision's order pays; protective orders always pay the taker fee.
    episode_length : str or None
        Duration of an episode; None runs to the end of the data.
    start : str
        "random", "first", or a UTC time.
    walk : {"extremes", "close"}
        Path inside a bar: adverse extreme (or finer bars where the market has them), or the close only, which is
        optimistic and meant for ablations and the synthetic market A.
    liquidation_series : {"mark", "last"}
    liquidation : {"full", "tier_step_down", "two_tiers_down", "fifth_first"}
        All but "full", the conservative default, are for isolated positions. "tier_step_down" sells down to the tier
        below while margin suffices there, "two_tiers_down" two tiers at a time (OKX). "fifth_first" (Hyperliquid) sells
        a fifth of a position above 100,000 first and the rest if the path continues against it within the bar; with
        less than two thirds of the maintenance margin left, nothing is returned.
    cross_liquidation : {"all_at_once", "largest_loss_first"}
    settlement : {"bankruptcy", "fee_then_return", "venue"}
        What a liquidation returns: nothing (conservative), the rest after the clearance fee, or as the venue.
    position_mode : {"one_way", "hedge"}
    deleveraging_move : float or None
        Stress: a winning position is closed, without fee, once a bar moves this fraction its way.
    profit_is_free : bool
        Idealised venue: unrealised profit of an isolated position may be withdrawn at a rebalance.
    ruin_fraction : float
        The episode terminates below this share of its start equity.
    controls : tuple
        Risk controls that every decision passes, in order; see :mod:`gearing.policies.controls`.
    """

    direction: str = "long"
    max_leverage: float = 20.0
    margin_mode: str = "isolated"
    margin_share: float | tuple[float, ...] = 1.0
    sizing: str = "equity"
    initial_equity: float = 10_000.0
    decision_interval: str = "24h"
    rebalance: str = "every_decision"
    decision: str = "interval"
    action: Any = "leverage"
    reward: Any = "log_growth"
    slippage: Slippage = field(default_factory=Slippage)
    venue: str | VenueProfile | None = None
    fee_level: str | None = None
    order: str = "taker"
    episode_length: str | None = None
    start: str = "random"
    walk: str = "extremes"
    liquidation_series: str = "mark"
    liquidation: str = "full"
    cross_liquidation: str = "all_at_once"
    settlement: str = "bankruptcy"
    position_mode: str = "one_way"
    deleveraging_move: float | None = None
    profit_is_free: bool = False
    ruin_fraction: float = 0.05
    controls: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        self._canonicalise()
        durations = {"decision_interval", "episode_length"}  # a timedelta will do as well
        given = {name: value for name, value in vars(self).items() if name not in durations}
        check_types(given, type(self))
        if not isinstance(self.venue, str | VenueProfile | None):
            raise TypeError(f"venue is {shown(self.venue)}; it must be a name, a VenueProfile or None.")
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}; it must be one of {', '.join(allowed)}."
                )
        self._check_numbers()
        check_start(self.start)
        rebalance_mode(self.rebalance)
        if self.direction not in ("long", "short", "free") and not self.direction.startswith("signal:"):
            raise ValueError(
                f"direction is {self.direction!r}; it must be long, short, free or signal:COLUMN."
            )
        if self.liquidation != "full" and self.margin_mode == "cross":
            raise ValueError(
                f"liquidation={self.liquidation!r} is for isolated positions; a cross account is liquidated whole. "
                "Use margin_mode='isolated', or cross_liquidation='largest_loss_first'."
            )
        for control in self.controls:
            if getattr(control, "margin_mode", self.margin_mode) != self.margin_mode:
                raise ValueError(
                    f"{type(control).__name__} has margin_mode={control.margin_mode!r} and the account "
                    f"{self.margin_mode!r}; a budget speaks of one of them. Give both the same."
                )
        if self.decision == "at_entry" and self.signal_column is None:
            raise ValueError(
                "decision='at_entry' needs direction='signal:COLUMN': the signal opens and closes."
            )

    def _canonicalise(self) -> None:
        """Accept a number for a slippage, a list of shares and controls, and a date for the start."""
        if isinstance(self.slippage, Real) and not isinstance(self.slippage, bool):
            object.__setattr__(self, "slippage", Slippage(constant=float(self.slippage)))
        if not isinstance(self.slippage, Slippage):
            raise TypeError(f"slippage is {shown(self.slippage)}; it must be a number or a Slippage.")
        if isinstance(self.start, date | np.datetime64):
            object.__setattr__(self, "start", str(stamp(self.start)))
        object.__setattr__(self, "controls", _checked_controls(self.controls))
        shares = self.margin_share if isinstance(self.margin_share, list | tuple) else (self.margin_share,)
        if not all(isinstance(w, Real) and not isinstance(w, bool) for w in shares):
            raise TypeError(
                f"margin_share is {shown(self.margin_share)}; it must be a number, or one for each contract."
            )
        if isinstance(self.margin_share, list | tuple):
            object.__setattr__(self, "margin_share", tuple(float(w) for w in shares))

    def _check_numbers(self) -> None:
        if not 0.0 < self.max_leverage <= 200.0:
            raise ValueError(f"max_leverage is {self.max_leverage}; it must be in (0, 200].")
        shares = self.margin_share if isinstance(self.margin_share, tuple) else (self.margin_share,)
        if not all(0.0 < w <= 1.0 for w in shares) or sum(shares) > 1.0 + 1e-12:
            raise ValueError(
                f"margin_share is {self.margin_share}; each must be in (0, 1] and they must sum to at most 1."
            )
        if not 0.0 < self.initial_equity < math.inf:
            raise ValueError(f"initial_equity is {self.initial_equity}; it must be positive and finite.")
        if not 0.0 <= self.ruin_fraction < 1.0:
            raise ValueError(f"ruin_fraction is {self.ruin_fraction}; it must be in [0, 1).")
        if self.deleveraging_move is not None and not self.deleveraging_move > 0.0:
            raise ValueError(f"deleveraging_move is {self.deleveraging_move}; it must be positive, or None.")

    @property
    def signal_column(self) -> str | None:
        """Name of the column that gives the direction, if one does."""
        return self.direction.partition(":")[2] if self.direction.startswith("signal:") else None

    def shares(self, n_contracts: int) -> tuple[float, ...]:
        """Margin share of each contract."""
        if isinstance(self.margin_share, tuple):
            if len(self.margin_share) != n_contracts:
                raise ValueError(
                    f"margin_share has {len(self.margin_share)} values for {n_contracts} contracts; give one each."
                )
            return self.margin_share
        return (self.margin_share / n_contracts,) * n_contracts

    def profile(self, market_venue: str) -> VenueProfile:
        """The venue whose rules apply."""
        if isinstance(self.venue, VenueProfile):
            return self.venue
        return venue(self.venue or market_venue)

    def with_(self, **changes: Any) -> Self:
        """The same settings with some changed; an unknown name is refused with the nearest."""
        check_settings(changes)
        return replace(self, **changes)


def _checked_controls(given: Any) -> tuple[Any, ...]:
    """Controls as a tuple, if they are instances of controls."""
    controls = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else (given,)
    for control in controls:
        if isinstance(control, type) or not (
            hasattr(control, "apply") and hasattr(control, "required_columns")
        ):
            raise TypeError(
                f"a control is {shown(control)}; give a list of instances, such as "
                "[gearing.policies.controls.StopLoss(distance=0.05)]."
            )
    return controls


def check_settings(given: dict[str, Any]) -> None:
    """Refuse a setting that does not exist, naming the nearest that does."""
    check_names("no simulation setting", given, SimulationConfig.__dataclass_fields__, TypeError)


def check_start(start: str) -> None:
    """Refuse a start that is neither "random" nor "first" nor a time."""
    if start in ("random", "first"):
        return
    try:
        stamp(start, "start")
    except ValueError as error:
        raise ValueError(f"{error} Or give 'random' or 'first'.") from None


def rebalance_mode(text: str) -> tuple[int, float]:
    """Kernel code and band of a rebalance mode."""
    match = re.fullmatch(r"band\((\d*\.?\d+)\)", text)
    if match:
        return BAND, float(match.group(1))
    if text not in REBALANCE:
        raise ValueError(
            f"rebalance is {text!r}; it must be one of {', '.join(REBALANCE)}, or band(x) such as band(0.5)."
        )
    return {"every_decision": 0, "on_change": 1, "never": 3}[text], 0.0


MARKET_A_SHARE = 0.95  # of equity as margin: a liquidation leaves the protocol's floor of 0.05
MARKET_A_LEVERAGE = 10.0
MARKET_A_COST = 5e-4

IDEAL_VENUE = VenueProfile(
    name="ideal",
    as_of=date(2026, 11, 1),
    taker_fee=MARKET_A_COST,
    maker_fee=MARKET_A_COST,
    notes=("No exchange: a flat fee, no liquidation fee, leverage settings change freely.",),
)


def market_a_settings() -> dict[str, Any]:
    """Simulation settings in which market A pays max(1 + L R - L f, 0.05) for leverage L of equity.

    Evaluation protocol, section 8.2: isolated margin of 0.95 of equity at a target of L / 0.95, a close-only walk, no
    slippage. Two differences remain. Funding is paid on the notional at the end of the step. And an increase to
    the largest leverage must cover its own fee, so it falls short by up to a twentieth of a percent per unit of
    leverage.
    """
    return {
        "direction": "free",
        "max_leverage": MARKET_A_LEVERAGE / MARKET_A_SHARE,
        "margin_share": MARKET_A_SHARE,
        "decision_interval": "8h",
        "slippage": 0.0,
        "walk": "close",
        "venue": IDEAL_VENUE,
        "profit_is_free": True,
        "ruin_fraction": 0.0,
    }


def market_b_settings() -> dict[str, Any]:
    """Simulation settings of the market B task: ordinary mechanics, hourly decisions of either side up to 10x."""
    return {"direction": "free", "max_leverage": 10.0, "decision_interval": "1h"}


def book_settings() -> dict[str, Any]:
    """Simulation settings of the synthetic books' growth: one cross-margin account, daily decisions, no costs."""
    return {
        "direction": "free",
        "margin_mode": "cross",
        "max_leverage": 100.0,
        "slippage": 0.0,
        "walk": "close",
        "venue": replace(IDEAL_VENUE, taker_fee=0.0, maker_fee=0.0),
    }
