"""The result of a backtest."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from gearing.evaluation.metrics import (
    Performance,
    activity,
    daily_equity,
    daily_log_growth,
    drawdown_within,
    leverage_profile,
    performance,
)
from gearing.exchange.records import ledger_dtype
from gearing.simulation.config import SimulationConfig


class Path(NamedTuple):
    """An account at moments in time, each before the orders of a decision that falls there."""

    time: np.ndarray  # (n,) datetime64[ms]
    equity: np.ndarray  # (n,) [settle coin]
    leverage: np.ndarray  # (n, n_slots), effective: signed notional over equity


@dataclass(frozen=True, eq=False)
class BacktestResult:
    """The result of one policy on one account.

    Attributes
    ----------
    name : str
    time : (n_decisions + 1,) datetime64[ms]
        Moments of the decisions and the end; UTC.
    equity : (n_decisions + 1,) float64
        At these moments [settle coin]; constant after a ruin.
    target : (n_decisions, n_slots) float64
        Signed target leverage, after all risk controls; NaN where the position was held.
    leverage : (n_decisions, n_slots) float64
        Effective leverage at the end of each interval: signed notional over equity.
    steps : (n_decisions,) recarray
        Sums of each interval, see ``exchange.records.step_dtype``.
    ledgers : (n_decisions, n_slots) recarray
        The same per position, see ``ledger_dtype``.
    ruined : bool
    slots : tuple of str
    config : SimulationConfig
    notes : tuple of str
        Notes on the market data.
    distance : (n_decisions, n_slots) float64, optional
        Relative move of the mark to liquidation at the end of each interval; 1 where there is none.
    acted : (n_decisions, n_controls) bool, optional
        Whether each risk control changed the targets.
    days : (n_days,) datetime64[ms], optional
        Every 24 hours from the first decision.
    daily_equity : (n_days,) float64, optional
        At these moments; metrics of the path are computed from them.
    daily_leverage : (n_days, n_slots) float64, optional
        Effective leverage at these moments, before the orders of a decision that falls there; zero after a ruin.
    flat_at : (n_decisions, n_slots) datetime64[ms], optional
        When a position ended inside the interval: the open of the bar in which it did; NaT where none ended.
    facts : mapping of name to text
        What made the result: policy with its parameters, venue, fees, data with fingerprint, version of the code.
    """

    name: str
    time: np.ndarray
    equity: np.ndarray
    target: np.ndarray
    leverage: np.ndarray
    steps: np.recarray
    ledgers: np.recarray
    ruined: bool
    slots: tuple[str, ...]
    config: SimulationConfig
    mark: np.ndarray
    notes: tuple[str, ...] = field(default=(), repr=False)
    distance: np.ndarray | None = field(default=None, repr=False)
    acted: np.ndarray | None = field(default=None, repr=False)
    days: np.ndarray | None = field(default=None, repr=False)
    daily_equity: np.ndarray | None = field(default=None, repr=False)
    daily_leverage: np.ndarray | None = field(default=None, repr=False)
    flat_at: np.ndarray | None = field(default=None, repr=False)
    facts: Mapping[str, str] = field(default_factory=dict, repr=False)

    @cached_property
    def path(self) -> Path:
        """Equity and leverage at the decisions, at the daily closes between them, and at the end."""
        leverage = np.concatenate([np.zeros_like(self.leverage[:1]), self.leverage])
        if self.days is None or self.daily_equity is None or self.daily_leverage is None:
            return Path(self.time, self.equity, leverage)
        time = np.concatenate([self.time, self.days])
        time, place = np.unique(time, return_index=True)  # the first of each: the decision's
        equity = np.concatenate([self.equity, self.daily_equity])[place]
        return Path(time, equity, np.concatenate([leverage, self.daily_leverage])[place])

    @cached_property
    def daily_log_growth(self) -> np.ndarray:
        """Log growth of each 24 hours (n_days,), for inference."""
        return daily_log_growth(self.path.time, self.path.equity)

    @property
    def gross_leverage(self) -> np.ndarray:
        """Size of effective leverage, all positions together, at the daily closes while the account lived (n,).

        At the ends of the decision intervals where it lived less than a day.
        """
        if self.days is not None and self.daily_leverage is not None:
            lived = self.days <= self.time[self.end]
            if lived.any():
                return np.asarray(np.abs(self.daily_leverage[lived]).sum(axis=1))
        return np.asarray(np.abs(self.leverage[: self.end]).sum(axis=1))

    def leverage_between(self, first: np.datetime64, last: np.datetime64) -> float:
        """Mean size of effective leverage at the daily closes after ``first``, up to ``last``, while it lived."""
        days = self.time[1:] if self.days is None else self.days
        leverage = self.leverage if self.daily_leverage is None else self.daily_leverage
        inside = (days > first) & (days <= min(last, self.time[self.end]))
        return float(np.abs(leverage[inside]).sum(axis=1).mean()) if inside.any() else 0.0

    @property
    def liquidation_times(self) -> np.ndarray:
        """When liquidations happened: the open of the bar, or the end of the interval where the position went on."""
        slots = np.argwhere(self.ledgers.liquidations[: self.end] > 0)
        ends = self.time[slots[:, 0] + 1]
        flat_at = ends if self.flat_at is None else self.flat_at[slots[:, 0], slots[:, 1]]
        return np.unique(np.where(np.isnat(flat_at), ends, flat_at))

    @cached_property
    def interval_leverage(self) -> np.ndarray:
        """Mean size of effective leverage at the daily closes inside each interval that was lived (n,), all positions
        together; that at its end where there is none inside."""
        size, inside = np.abs(self.path.leverage[1:]).sum(axis=1), np.arange(self.path.time.size - 1)
        last = np.searchsorted(self.path.time, self.time[1 : self.end + 1]) - 1
        known = (
            np.ones(inside.size, np.bool_) if self.days is None else np.isin(self.path.time[1:], self.days)
        )
        sums, counts = (np.append(0.0, np.cumsum(x))[np.append(0, last + 1)] for x in (size * known, known))
        share = np.diff(sums) / np.maximum(np.diff(counts), 1.0)
        return np.where(np.diff(counts) > 0.0, share, size[last])

    @cached_property
    def performance(self) -> Performance:
        """Growth, risk and ratios of the daily closes; drawdown at the closes of all bars."""
        return performance(self.path.time, self.path.equity, self.ruined, self.drawdown())

    def drawdown(self, first: int = 0, last: int | None = None) -> float:
        """Largest loss from a peak between two decisions, at the closes of all bars; a fraction of the peak."""
        steps: Any = self.steps[first : self.end if last is None else last]
        return drawdown_within(self.equity[first], steps.lowest, steps.highest, steps.drawdown)

    @property
    def span(self) -> str:
        """From the first decision to the end, in words."""
        first, last = (moment.astype("datetime64[m]") for moment in (self.time[0], self.time[-1]))
        return f"{first} to {last} UTC, {len(self.target):,} decisions"

    @property
    def end(self) -> int:
        """Number of intervals before ruin or the end."""
        over = np.flatnonzero(self.steps.terminated)
        return int(over[0]) + 1 if over.size else len(self.steps)

    @cached_property
    def row(self) -> dict[str, Any]:
        """All numbers of the result's table row, by name."""
        measured = self.performance
        totals = {name: float(self.steps[name].sum()) for name in ("turnover", "fees", "funding")}
        first, last = (str(moment.astype("datetime64[m]")) for moment in (self.time[0], self.time[-1]))
        return {
            "policy": self.name,
            "from": first,
            "to": last,
            **leverage_profile(self.gross_leverage),
            **measured.as_row(),
            **activity(
                measured.years,
                daily_equity(self.path.time, self.path.equity),
                totals,
                int(self.steps.liquidations.sum()),
            ),
            "end_equity": float(self.equity[-1]),
            "refused": int(self.steps.refused.sum()),
            "capped": int(self.steps.capped.sum()),
            **self._controls_row(),
        }

    def _controls_row(self) -> dict[str, Any]:
        """Names of the risk controls and how often they acted; nothing where there are none."""
        if not self.config.controls:
            return {}
        names = [type(control).__name__ for control in self.config.controls]
        return {"controls": ", ".join(names), "control_actions": int(self.control_report.acted.sum())}

    @property
    def table(self) -> pd.DataFrame:
        """One row of results; ``gearing.evaluation.reports.figures.comparison`` compares several."""
        return pd.DataFrame([self.row]).set_index("policy")

    @cached_property
    def ledger(self) -> pd.DataFrame:
        """Every interval of every position: price_pnl + fees + funding + liquidation = its change of equity."""
        return ledger_table(
            self.time[:-1], self.slots, self.target, self.ledgers, self.leverage, self.equity[1:]
        )

    @cached_property
    def control_report(self) -> pd.DataFrame:
        """Every risk control: at how many decisions it changed the targets, the first and the last of them.

        Resting orders act inside the bars: their rows count the stops and take-profits that were filled (a stop and a
        trailing stop together, since the nearer one of them rests).
        """
        rows = []
        for k, control in enumerate(self.config.controls):
            times = self.time[:-1][self.acted[:, k]] if self.acted is not None else self.time[:0]
            filled = {"stop": "stops", "trailing": "stops", "take_profit": "take_profits"}
            order = filled.get(getattr(control, "order", ""))
            count = len(times)
            if order:
                count = int(self.ledgers[order].sum())
                times = self.time[:-1][self.ledgers[order].sum(axis=1) > 0]
            first, last = (times[0], times[-1]) if len(times) else (pd.NaT, pd.NaT)
            rows.append({"control": repr(control), "acted": count, "first": first, "last": last})
        return pd.DataFrame(rows, columns=["control", "acted", "first", "last"]).set_index("control")

    def plot(self) -> Any:
        """Equity, leverage and price over time (matplotlib figure)."""
        from gearing.evaluation.reports.figures import equity_figure

        return equity_figure([self])

    def __repr__(self) -> str:
        end = "ruined" if self.ruined else f"{self.performance.log_growth:+.3f} log growth a year"
        return f"BacktestResult({self.name}: {self.time[0]} to {self.time[-1]}, {end})"


def ledger_table(
    time: np.ndarray,
    slots: tuple[str, ...],
    target: np.ndarray,
    ledgers: np.ndarray,
    leverage: np.ndarray,
    equity: np.ndarray,
) -> pd.DataFrame:
    """A row for each interval and position.

    Parameters
    ----------
    time : (n,) datetime64[ms]
        Decisions.
    target, leverage : (n, n_slots) float64
        Target leverage of the decision, effective leverage at the end of its interval.
    ledgers : (n, n_slots) of ``ledger_dtype``
    equity : (n,) float64
        At the end of the interval.
    """
    parts = []
    for k, slot in enumerate(slots):
        frame = pd.DataFrame({"time": time, "contract": slot, "target": target[:, k]})
        for name in ledger_dtype.names or ():
            frame[name] = ledgers[name][:, k]
        frame["effective_leverage"] = leverage[:, k]
        frame["equity"] = equity
        parts.append(frame)
    return pd.concat(parts).sort_values(["time", "contract"], kind="stable").reset_index(drop=True)
