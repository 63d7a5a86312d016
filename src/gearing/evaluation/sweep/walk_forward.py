"""Walk-forward parameter sweeps, as batches of accounts on one path.

Every configuration is an account; only its sums per period are stored, added up in compiled code a few hundred
decisions at a time, so memory does not grow with bars or decisions times configurations. At the end of each training
window the best configuration so far is chosen, and one account trades these choices, window after window.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from gearing.evaluation.backtesting import run_account
from gearing.evaluation.columns import policy_table
from gearing.evaluation.metrics import daily_returns, years_between
from gearing.evaluation.playing import Records, all_decisions, decision_times, play
from gearing.evaluation.result import BacktestResult
from gearing.evaluation.statistics.selection import deflated_sharpe
from gearing.evaluation.sweep.search_space import (
    Configuration,
    Space,
    check_space,
    example,
    grid,
    is_configuration,
    random_draws,
    suggested,
)
from gearing.exchange.observing import ACCOUNT_COLUMNS, POSITION_COLUMNS
from gearing.features import FeatureTable, is_feature, parse_duration
from gearing.market.data import MarketData
from gearing.policies import make_rule
from gearing.simulation.config import SimulationConfig
from gearing.simulation.simulator import Simulator
from gearing.storage.compiling import njit

SEARCHES = ("grid", "random", "optuna")
CRITERIA = ("log_growth", "sharpe")
# Accounts per batch, and decisions at a time: the records stay in the processor's cache.
_ACCOUNTS, _CHUNK = 64, 256
_ROUND = 32  # trials that optuna proposes before it receives their values


@dataclass(frozen=True, eq=False)
class Sweep:
    """The result of a sweep.

    Attributes
    ----------
    result : BacktestResult
        Of the account that traded, in each window, the best configuration before it.
    chosen : list of dict
        Configuration of each window.
    windows : DataFrame
        Per window: its span, ``configurations`` that had been tried by then, the score of the choice on the ``past``
        (log growth over all of it, or its Sharpe ratio a year), its ``growth`` a year in the window.
    configurations : list of dict
        All that were tried.
    sharpes : (n_configurations,) float64
        Sharpe ratio a year of every configuration over the whole path, NaN where ruined.
    """

    result: BacktestResult
    chosen: list[Configuration]
    windows: pd.DataFrame
    configurations: list[Configuration]
    sharpes: np.ndarray

    @property
    def n_configurations(self) -> int:
        """Number of configurations tried; the Sharpe ratio is deflated by it."""
        return len(self.configurations)

    @property
    def tried(self) -> pd.DataFrame:
        """All configurations with their Sharpe ratio over the whole path, the past that chose among them included."""
        table = pd.DataFrame(self.configurations).assign(sharpe=self.sharpes)
        return table.sort_values("sharpe", ascending=False, kind="stable").rename_axis("tried")

    @property
    def deflated_sharpe(self) -> float:
        """Probability that the traded account's true Sharpe ratio exceeds the expected best of all by chance."""
        known = self.sharpes[np.isfinite(self.sharpes)]
        returns = daily_returns(self.result.path.time, self.result.path.equity)
        return deflated_sharpe(returns, known, self.n_configurations)

    def __repr__(self) -> str:
        return f"Sweep({self.n_configurations} configurations, {len(self.chosen)} windows: {self.result!r})"


def sweep(
    space: Space,
    market: MarketData,
    features: Any = None,
    *,
    search: str = "grid",
    n: int | None = None,
    train: str = "365d",
    test: str = "90d",
    criterion: str = "log_growth",
    seed: int = 0,
    n_threads: int = 1,
    run: Any = None,
    **settings: Any,
) -> Sweep:
    """Choose a rule's parameters walk-forward.

    Parameters
    ----------
    space : mapping
        ``{"rule": name, parameter: choices}``: a list is a choice among its members, a pair in a tuple a range
        (not for the grid), anything else is kept fixed.
    market, features
        As in ``backtest``; columns that the rules read and that are features are computed.
    search : {"grid", "random", "optuna"}
        Every combination; ``n`` draws; or ``n`` draws per window guided by the window's past.
    n : int, optional
        Required unless the search is a grid; of a grid, the first ``n``.
    train, test : str
        First training window, which then grows, and the length of each test window.
    criterion : {"log_growth", "sharpe"}
        Criterion on the past; configurations ruined there are excluded.
    seed : int
        Of random draws and of optuna.
    n_threads : int
        Of the simulator.
    run : tracked run, optional
        Logs the number of configurations and the deflated Sharpe ratio.
    **settings
        Of the simulation.
    """
    for name, value, known in (("search", search, SEARCHES), ("criterion", criterion, CRITERIA)):
        if value not in known:
            raise ValueError(f"{name} is {value!r}; it must be one of {', '.join(known)}.")
    check_space(space, search, n)
    tried = TriedConfigurations(space, market, features, settings, n_threads, train, test)
    if search == "optuna":
        picks = [_guided(tried, space, k, int(n or 0), criterion, seed) for k in range(tried.n_windows)]
    else:
        given = grid(space) if search == "grid" else random_draws(space, np.random.default_rng(seed))
        tried.add(list(islice(given, n)))
        picks = [tried.best(k, criterion) for k in range(tried.n_windows)]
    done = tried.traded(picks, criterion)
    if run is not None:
        run.log_params({"n_configurations": done.n_configurations, "search": search, "criterion": criterion})
        run.log_metrics({"deflated_sharpe": done.deflated_sharpe})
    return done


@njit(cache=True, nogil=True)
def _add_up(steps: Any, period: Any, growth: Any, returns: Any, squares: Any, ruins: Any) -> None:
    """Add steps (n_accounts, n_decisions) to the sums (n_accounts, n_periods) of the periods they fall in."""
    for i in range(steps.shape[0]):
        for d in range(steps.shape[1]):
            step = steps[i, d]
            if step.equity_before <= 0.0:  # after ruin
                continue
            simple = step.equity / step.equity_before - 1.0
            growth[i, period[d]] += step.log_growth
            returns[i, period[d]] += simple
            squares[i, period[d]] += simple * simple
            ruins[i, period[d]] += step.terminated


class Pick(NamedTuple):
    """A choice: the number of a configuration, and how many were known when it was made."""

    number: int
    known: int


class TriedConfigurations:
    """Configurations tried so far, with their sums per period; period 0 is the first training window."""

    def __init__(
        self,
        space: Space,
        market: MarketData,
        features: Any,
        settings: Mapping[str, Any],
        n_threads: int,
        train: str,
        test: str,
    ):
        self.market, self.settings = market, {"start": "first", **settings}
        config = SimulationConfig(**self.settings)
        self.table = _table(space, market, features, config)
        self.simulator = Simulator(market, self.table, config, 1)
        self.simulator.reset(seed=0)
        self.times = decision_times(self.simulator)
        self.edges = _edges(self.times, train, test)
        self.view, _ = all_decisions(self.simulator)
        self._batch = Simulator(market, self.table, config, _ACCOUNTS, n_threads=n_threads)
        # The period of every decision; decisions after the last test window are not run.
        self._period = np.repeat(np.arange(len(self.edges) - 1), np.diff(self.edges))
        self.configurations: list[Configuration] = []
        periods = len(self.edges) - 1
        self._sums = np.empty((4, 0, periods))  # growth, return, squared return and ruins

    def sizes(self, configuration: Configuration) -> np.ndarray:
        """Leverage magnitudes at all decisions (n_decisions, n_slots): one call, decisions being the batch."""
        return np.asarray(make_rule(configuration).predict(self.view, deterministic=True)[0])

    def add(self, configurations: Sequence[Configuration]) -> None:
        """Run valid configurations, and store their sums per period."""
        made = [c for c in configurations if is_configuration(c)]
        targets = np.zeros((_ACCOUNTS, len(self._period), len(self._batch.slots)))
        for first in range(0, len(made), _ACCOUNTS):
            part = made[first : first + _ACCOUNTS]
            for i, configuration in enumerate(part):
                targets[i] = self.sizes(configuration)[: len(self._period)]
            self._sums = np.concatenate([self._sums, self._summed(targets)[:, : len(part)]], axis=1)
        self.configurations += made

    @property
    def growth(self) -> np.ndarray:
        """Log growth of every configuration in every period."""
        return self._sums[0]

    @property
    def ruined(self) -> np.ndarray:
        """Whether a configuration was ruined in a period or before it."""
        return np.logical_or.accumulate(self._sums[3] > 0.0, axis=1)

    def _summed(self, targets: np.ndarray) -> np.ndarray:
        """Growth, return, squared return and ruins of every account, summed per period."""
        sums = np.zeros((4, _ACCOUNTS, len(self.edges) - 1))
        self._batch.reset(seed=0)
        active = np.ones(_ACCOUNTS, np.bool_)
        for first in range(0, len(self._period), _CHUNK):
            chunk = slice(first, first + _CHUNK)
            records = Records()
            active, _ = play(self._batch, targets[:, chunk], records, active=active)
            _add_up(records.steps.view(np.ndarray), self._period[chunk], *sums)
        return sums

    @property
    def n_windows(self) -> int:
        """Test windows: the periods after the first."""
        return len(self.edges) - 2

    def best(self, window: int, criterion: str) -> Pick:
        """The configuration to trade in a test window, by all data before it."""
        end = self.times[self.edges[window + 1]]
        count = len(self.configurations)
        if not count:
            raise ValueError("no configuration drawn from the space is valid; narrow its ranges, or raise n.")
        if self.ruined[:, window].all():
            raise ValueError(
                f"all {count} configurations tried were ruined before {end}: there is none to choose. Lower the "
                "leverages of the space, or margin_share."
            )
        return Pick(int(np.argmax(self.scores(window, criterion))), count)

    def scores(self, window: int, criterion: str) -> np.ndarray:
        """Criterion of every configuration on all data before a window; minus infinity where it was ruined."""
        past = slice(0, window + 1)
        if criterion == "log_growth":
            value = self.growth[:, past].sum(axis=1)
        else:
            value = self._sharpe(past)
        return np.where(self.ruined[:, window], -np.inf, np.nan_to_num(value, nan=-np.inf))

    def _sharpe(self, periods: slice) -> np.ndarray:
        count = float(self.edges[1:][periods][-1])
        mean, square = self._sums[1:3, :, periods].sum(axis=2) / count
        spread = np.sqrt(np.maximum(square - mean**2, 1e-300))
        interval = years_between(self.times[0], self.times[1])
        if np.ptp(np.diff(self.times)):  # trades of different lengths, whose leverage is chosen at the entry
            interval = years_between(self.times[0], self.times[-1]) / (self.times.size - 1)
        return np.where(spread < 1e-12, np.nan, mean / spread / np.sqrt(interval))

    def traded(self, picks: list[Pick], criterion: str) -> Sweep:
        """One account that trades each window's pick."""
        first = self.edges[1]
        chosen = [self.configurations[pick.number] for pick in picks]
        windows = zip(chosen, self.edges[1:-1], self.edges[2:], strict=True)
        sizes = np.concatenate([self.sizes(configuration)[a:b] for configuration, a, b in windows])
        config = SimulationConfig(**{**self.settings, "start": str(self.times[first])})
        end = self.times[self.edges[-1]]
        market, table = self.market.between(None, end), self.table.between(None, end)
        result = run_account(sizes, Simulator(market, table, config), "chosen on the past")
        rows = []
        for k, pick in enumerate(picks):
            a, b = self.edges[k + 1] - first, self.edges[k + 2] - first
            span = years_between(result.time[a], result.time[b])
            grown = float(np.log(max(result.equity[b], 1e-300) / max(result.equity[a], 1e-300)))
            past = float(self.scores(k, criterion)[pick.number])
            row = {"from": result.time[a], "to": result.time[b], "configurations": pick.known, "past": past}
            rows.append({**row, "growth": grown / span, **chosen[k]})
        sharpes = np.where(self.ruined[:, -1], np.nan, self._sharpe(slice(None)))
        return Sweep(result, chosen, pd.DataFrame(rows), list(self.configurations), sharpes)


def _guided(tried: TriedConfigurations, space: Space, window: int, n: int, criterion: str, seed: int) -> Pick:
    """Best of ``n`` configurations that optuna proposes for a window, using only its past."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed + window))
    done = 0
    while done < n:
        trials = [study.ask() for _ in range(min(_ROUND, n - done))]
        proposed = [suggested(trial, space) for trial in trials]
        first = len(tried.configurations)
        sound = [k for k, configuration in enumerate(proposed) if is_configuration(configuration)]
        tried.add([proposed[k] for k in sound])
        values = tried.scores(window, criterion)[first:]
        scores = dict(zip(sound, values, strict=True))
        for k, trial in enumerate(trials):
            value = scores.get(k, -np.inf)
            study.tell(trial, float(value) if np.isfinite(value) else -1e9)
        done += len(trials)
    return tried.best(window, criterion)


def _edges(times: np.ndarray, train: str, test: str) -> np.ndarray:
    """Decisions at which periods begin: the first training window, then test windows; the last is whole or absent."""
    first = times[0] + parse_duration(train)
    last = times[-1]
    count = int((last - first) // parse_duration(test)) if last > first else 0
    if count < 1:
        raise ValueError(
            f"decisions run from {times[0]} to {times[-1]}: no test window of {test} fits behind a training window "
            f"of {train}."
        )
    stamps = first + np.arange(count + 1) * parse_duration(test)
    return np.append(0, np.searchsorted(times, stamps))


def _table(space: Space, market: MarketData, features: Any, config: SimulationConfig) -> FeatureTable:
    """Features that any configuration reads: those of the first, and any name of a column among the choices."""
    rule = make_rule(example(space))
    stateful = [c for c in rule.required_columns if c in (*POSITION_COLUMNS, *ACCOUNT_COLUMNS)]
    if set(stateful) - {"effective_leverage"}:
        raise ValueError(
            f"rule {space['rule']!r} reads {', '.join(stateful)} of its own account, so its leverage cannot be "
            "computed ahead; backtest its configurations one by one."
        )
    choices = [x for given in space.values() if isinstance(given, list) for x in given]
    named = list(dict.fromkeys(x for x in choices if isinstance(x, str) and is_feature(x)))
    return policy_table(rule, market, named if features is None else features, config)
