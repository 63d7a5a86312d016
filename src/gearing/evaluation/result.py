"""The result of a backtest."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from gearing.evaluation.metrics import Performance, activity, drawdown_within, leverage_profile, performance
from gearing.exchange.records import ledger_dtype
from gearing.simulation.config import SimulationConfig


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

    @cached_property
    def performance(self) -> Performance:
        """Growth, risk and ratios of the equity path; drawdown at the closes of all bars, not only at decisions."""
        return performance(self.time, self.equity, self.ruined, self.drawdown())

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
        gross = np.abs(self.leverage).sum(axis=1)
        return {
            "policy": self.name,
            **leverage_profile(gross[: self.end]),
            **measured.as_row(),
            **activity(measured.years, self.equity, totals, int(self.steps.liquidations.sum())),
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
        parts = []
        for k, slot in enumerate(self.slots):
            frame = pd.DataFrame({"time": self.time[:-1], "contract": slot, "target": self.target[:, k]})
            for name in ledger_dtype.names or ():
                frame[name] = self.ledgers[name][:, k]
            frame["effective_leverage"] = self.leverage[:, k]
            frame["equity"] = self.equity[1:]
            parts.append(frame)
        return pd.concat(parts).sort_values(["time", "contract"], kind="stable").reset_index(drop=True)

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
