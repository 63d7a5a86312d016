"""A backtest: the Simulator of one account with a recorder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from gearing.evaluation.metrics import (
    Performance,
    activity,
    drawdown_within,
    leverage_profile,
    performance,
)
from gearing.exchange.records import ledger_dtype, records, step_dtype
from gearing.features import Feature, FeatureSet, FeatureTable, is_feature
from gearing.market.data import MarketData
from gearing.simulation.actions import make_scheme
from gearing.simulation.config import SimulationConfig, check_names
from gearing.simulation.policy import Policy, check_columns
from gearing.simulation.simulator import Simulator

if TYPE_CHECKING:
    import pandas as pd

SHORTEST = "log_return"  # the column of a table from which nobody asks any: it is complete after two bars
Progress = Callable[[int, int], None]  # (decisions done, decisions in all)


@dataclass(frozen=True, eq=False)
class BacktestResult:
    """What one policy did to one account.

    Attributes
    ----------
    name : str
    time : (n_decisions + 1,) datetime64[ms]
        Moments of the decisions and the end; UTC.
    equity : (n_decisions + 1,) float64
        At these moments [settle coin]; stays after a ruin.
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
        What was done to the market data.
    distance : (n_decisions, n_slots) float64, optional
        Relative move of the mark to liquidation at the end of each interval; 1 where there is none.
    acted : (n_decisions, n_controls) bool, optional
        Where each risk control changed the targets.
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
        """Number of intervals that the account lived through."""
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
        """One row of results; ``gearing.evaluation.tables.comparison`` puts several beside each other."""
        import pandas as pd

        return pd.DataFrame([self.row]).set_index("policy")

    @cached_property
    def ledger(self) -> pd.DataFrame:
        """Every interval of every position: price_pnl + fees + funding + liquidation = its change of equity."""
        import pandas as pd

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
        import pandas as pd

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
        from gearing.evaluation.figures import equity_figure

        return equity_figure([self])

    def __repr__(self) -> str:
        end = "ruined" if self.ruined else f"{self.performance.log_growth:+.3f} log growth a year"
        return f"BacktestResult({self.name}: {self.time[0]} to {self.time[-1]}, {end})"


def backtest(
    policy: Policy,
    market: MarketData,
    features: FeatureTable | FeatureSet | Sequence[str] | None = None,
    *,
    name: str | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> BacktestResult:
    """Run a policy over a whole market, from the first decision to the last.

    Parameters
    ----------
    policy : Policy
        A rule, a trained agent, or anything with their ``predict``.
    market : MarketData
    features : FeatureTable, FeatureSet, or str or sequence of str, optional
        Names and groups are computed, and with them the registered features that the policy, its direction and its
        risk controls declare; None computes only these. The first decision is the first that has all columns, so
        "default" begins after 90 days and a fixed leverage without features on the second.
    name : str, optional
        Row name; the policy's class by default.
    progress : callable, optional
        Called with (decisions done, decisions in all) now and then.
    **settings
        Fields of :class:`gearing.SimulationConfig`, for example ``direction="long", margin_share=0.1``. They win
        over the ``settings`` that a policy may carry.

    Raises
    ------
    ValueError
        If the policy reads a column that does not exist, or asks for more than ``max_leverage``.
    TypeError
        For an unknown setting, or an object that is no policy.
    """
    check_names(settings)
    _check_policy(policy)
    config = SimulationConfig(**{"start": "first", **getattr(policy, "settings", {}), **settings})
    simulator = Simulator(market, table_for(policy, market, features, config), config)
    check_columns(policy, tuple(simulator.view))
    return _play(policy, simulator, name or type(policy).__name__, progress)


def _check_policy(policy: Any) -> None:
    lacks = [name for name in ("required_columns", "action_scheme", "predict") if not hasattr(policy, name)]
    if lacks:
        raise TypeError(
            f"{type(policy).__name__} has no {', '.join(lacks)}: a policy declares the columns that it reads and the "
            "scheme of its actions, and predicts; gearing.check_policy goes through all of it."
        )


def table_for(policy: Policy, market: MarketData, features: Any, config: SimulationConfig) -> FeatureTable:
    """Table that a policy is played on: the features given, and those that the policy and the settings declare."""
    table = given_table(policy, market, features, config)
    # A policy may bring columns of its own: the oracle's bands, a forecaster's output.
    return policy.join(table) if hasattr(policy, "join") else table


def given_table(policy: Policy, market: MarketData, features: Any, config: SimulationConfig) -> FeatureTable:
    """The same without the columns that the policy brings itself."""
    if isinstance(features, FeatureTable):
        return features
    given: tuple[Feature, ...] = ()
    if features:
        given = (features if isinstance(features, FeatureSet) else FeatureSet(features)).features
    names = {feature.name for feature in given}
    asked = dict.fromkeys([*policy.required_columns, *asked_columns(config)])
    columns: list[str | Feature] = [*given, *(c for c in asked if is_feature(c) and c not in names)]
    return FeatureSet(columns or [SHORTEST]).compute(market)


def asked_columns(config: SimulationConfig) -> tuple[str, ...]:
    """Columns that the settings themselves read: the signal's and those of the risk controls."""
    signal = (config.signal_column,) if config.signal_column else ()
    return (*signal, *(column for control in config.controls for column in control.required_columns))


def answer(policy: Policy, simulator: Simulator, state: Any, begins: np.ndarray) -> tuple[np.ndarray, Any]:
    """Signed targets of a policy at the simulator's current observations, and its next state."""
    asked: Any = policy
    masks = {}
    if getattr(policy, "masked", False):
        allowed = simulator.action_masks(asked.scheme.magnitudes)
        masks["action_masks"] = allowed.reshape(simulator.n_accounts, -1)
    actions, state = asked.predict(simulator.view, state, begins, deterministic=True, **masks)
    if policy.action_scheme == "target":
        return simulator.directed(actions), state
    scheme = make_scheme(getattr(policy, "scheme", policy.action_scheme), simulator.config.max_leverage)
    return simulator.targets(np.asarray(actions), scheme), state


def _play(policy: Policy, simulator: Simulator, name: str, progress: Progress | None) -> BacktestResult:
    simulator.reset(seed=0)
    count, slots = simulator.n_decisions, len(simulator.slots)
    time = np.empty(count + 1, "datetime64[ms]")
    equity = np.empty(count + 1)
    target, leverage, mark = (np.zeros((count, slots)) for _ in range(3))
    distance, acted = np.ones((count, slots)), np.zeros((count, len(simulator.config.controls)), np.bool_)
    steps, ledgers = records(count, step_dtype), records((count, slots), ledger_dtype)
    time[0], equity[0] = simulator.time[0], simulator.accounts.equity[0]
    state, begins = None, np.ones(1, np.bool_)
    time[:] = decision_times(simulator)
    if hasattr(policy, "ahead"):  # what depends on the market alone is computed for the whole path
        policy = policy.ahead(simulator, decision_rows(simulator)[None, :-1])
    for k in range(count):
        targets, state = answer(policy, simulator, state, begins)
        begins = np.zeros(1, np.bool_)
        simulator.step(targets)
        target[k], steps[k], ledgers[k] = simulator.decided[0], simulator.steps[0], simulator.ledgers[0]
        equity[k + 1] = simulator.accounts.equity[0]
        leverage[k] = simulator.view["effective_leverage"][0]
        distance[k], acted[k] = simulator.view["liquidation_distance"][0], simulator.acted[0]
        mark[k] = simulator.positions.mark[0]
        if progress is not None and (k % 256 == 0 or k + 1 == count):
            progress(k + 1, count)
        if simulator.steps[0].terminated:
            equity[k + 1 :] = equity[k + 1]
            mark[k:] = mark[k]
            break
    return BacktestResult(
        name=name, time=time, equity=equity, target=target, leverage=leverage, steps=steps, ledgers=ledgers,
        ruined=bool(simulator.steps[0].terminated), slots=simulator.slots, config=simulator.config, mark=mark,
        notes=simulator.markets[0].notes, distance=distance, acted=acted,
    )  # fmt: skip


def decision_times(simulator: Simulator) -> np.ndarray:
    """Moments of the decisions of the first account's episode, and of its end."""
    span, times = decision_rows(simulator), simulator.tape.row_time
    closing = simulator.markets[int(simulator.accounts[0].path)].close_time[-1]
    return np.array([times[row] if row < times.size else closing for row in span], "datetime64[ms]")


def decision_rows(simulator: Simulator) -> np.ndarray:
    """Rows of the tape at which the first account decides in its episode, and the row of its end."""
    account = simulator.accounts[0]
    edges = simulator.tape.boundaries[int(account.path)]
    return edges[np.searchsorted(edges, account.row) : np.searchsorted(edges, account.last_row) + 1]
