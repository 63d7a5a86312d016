"""Backtests: a policy on one account of a Simulator, recorded decision by decision."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from gearing.evaluation.closes import Closes
from gearing.evaluation.columns import DEFAULT_FORECAST, Features, policy_table
from gearing.evaluation.playing import Observer, decision_times, play
from gearing.evaluation.result import BacktestResult
from gearing.exchange.records import ledger_dtype, records, step_dtype
from gearing.market.data import MarketData, market_list
from gearing.simulation.config import SimulationConfig, check_settings
from gearing.simulation.hooks import hooks_of
from gearing.simulation.kernel_records import contract_records
from gearing.simulation.policy import Policy, check_columns, check_policy_type
from gearing.simulation.simulator import Simulator
from gearing.storage.digest import code_digest, package_version

_LONGEST = 400  # characters of a policy's description
Progress = Callable[[int, int], None]  # (decisions done, decisions in total)


def backtest(
    policy: Policy,
    market: MarketData,
    features: Features = None,
    *,
    name: str | None = None,
    progress: Progress | None = None,
    forecast: str | Mapping[str, Any] | None = DEFAULT_FORECAST,
    **settings: Any,
) -> BacktestResult:
    """Run a policy over a whole market, from the first decision to the last.

    Parameters
    ----------
    policy : Policy
        A rule, a trained agent, or anything with their ``predict``.
    market : MarketData
    features : FeatureTable, FeatureSet, or str or sequence of str, optional
        Names and groups are computed, and with them the columns that the policy, its direction and its risk controls
        declare: registered features, and forecasts. None computes only these; a table is used unchanged. The first
        decision is the first that has all columns, so "default" begins after 90 days and a fixed leverage without
        features on the second.
    name : str, optional
        Row name; the policy's class by default.
    progress : callable, optional
        Called regularly with (decisions done, decisions in total).
    forecast : str, mapping or None
        How ``forecast_volatility`` is forecast where it is declared: the name of a forecaster, or a mapping of
        forecaster, horizon, schedule and parameters of :func:`gearing.forecasters.forecast_volatility_column`. None
        makes no forecasts.
    **settings
        Fields of :class:`gearing.SimulationConfig`, for example ``direction="long", margin_share=0.1``. They override
        the ``settings`` of the policy.

    Raises
    ------
    ValueError
        If the policy reads a column that does not exist, or returns more than ``max_leverage``.
    TypeError
        For an unknown setting, or an object that is not a policy or a market.
    """
    check_settings(settings)
    check_policy_type(policy)
    market_list(market)
    config = SimulationConfig(**{"start": "first", **hooks_of(policy).settings, **settings})
    table = policy_table(policy, market, features, config, forecast)
    return run_account(policy, Simulator(market, table, config), name, progress)


def run_account(
    policy: Policy | np.ndarray,
    simulator: Simulator,
    name: str | None = None,
    progress: Progress | None = None,
) -> BacktestResult:
    """Run a policy, or a series of leverages, on the one account of a simulator, from its start to its end.

    Parameters
    ----------
    policy : Policy or array
        As in :func:`gearing.evaluation.playing.play`.
    """
    if not isinstance(policy, np.ndarray):
        check_columns(policy, tuple(simulator.view))
    simulator.reset(seed=0)
    recorder = _Recorder(name or type(policy).__name__, progress)
    play(simulator, policy, recorder)
    return replace(
        recorder.result(),
        facts={"policy": _described(policy), **facts_of(simulator.markets[0], simulator.config)},
    )


def _described(policy: Policy | np.ndarray) -> str:
    """A policy with its parameters, in a line; a dataclass prints all of them."""
    if isinstance(policy, np.ndarray):
        return f"a series of {len(policy):,} target leverages"
    text = " ".join(repr(policy).split())
    if text.startswith("<"):  # of a class without a representation, the address says nothing
        return f"{type(policy).__module__}.{type(policy).__qualname__}"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def facts_of(market: MarketData, config: SimulationConfig) -> dict[str, str]:
    """Venue and fees that accounts pay on a market, its data and the version of the code, as text."""
    profile = config.profile(market.venue)
    terms = contract_records(market.contracts[:1], profile, config.with_(margin_share=1.0))[0]
    level = config.fee_level or (profile.fee_levels[0][0] if profile.fee_levels else "the only one")
    return {
        "venue": f"{profile.name}, rules as of {profile.as_of}",
        "fees": f"level {level}: taker {terms.taker_fee:.4%}, maker {terms.maker_fee:.4%}, liquidation "
        f"{terms.liquidation_fee:.4%} of notional; orders pay the {config.order} fee",
        "data": repr(market),
        "fingerprint": market.fingerprint,
        "code": version_text(),
    }


def version_text() -> str:
    """Version of the package and the hash of its code."""
    return f"gearing {package_version()}, {code_digest()[:8]}"


class _Recorder(Observer):
    """Records one account."""

    def __init__(self, name: str, progress: Progress | None):
        self._name, self._progress = name, progress

    def begin(self, simulator: Simulator, count: int) -> None:
        slots = len(simulator.slots)
        self._simulator, self._done = simulator, 0
        self._time = decision_times(simulator)[: count + 1]
        self._equity = np.full(count + 1, simulator.accounts.equity[0])
        self._target, self._leverage, self._mark = (np.zeros((count, slots)) for _ in range(3))
        self._distance = np.ones((count, slots))
        self._flat_at = np.full((count, slots), np.datetime64("NaT", "ms"))
        self._closes = Closes(simulator, self._time, every_row=True)
        self._acted = np.zeros((count, len(simulator.config.controls)), np.bool_)
        self._steps, self._ledgers = records(count, step_dtype), records((count, slots), ledger_dtype)

    def stepped(self, k: int, simulator: Simulator, active: np.ndarray) -> None:
        view = simulator.view
        self._target[k], self._steps[k] = simulator.decided[0], simulator.steps[0]
        self._ledgers[k], self._acted[k] = simulator.ledgers[0], simulator.acted[0]
        self._equity[k + 1] = simulator.accounts.equity[0]
        self._leverage[k] = view["effective_leverage"][0]
        self._distance[k] = view["liquidation_distance"][0]
        self._mark[k] = simulator.positions.mark[0]
        acted = (self._ledgers[k].fills > 0) | (self._ledgers[k].liquidations > 0)
        before = self._leverage[k - 1] != 0.0 if k else np.zeros(acted.size, np.bool_)
        self._flat_at[k] = self._closes.ends(k, before, acted)
        self._done, count = k + 1, len(self._target)
        if self._progress is not None and (k % 256 == 0 or self._done == count):
            self._progress(self._done, count)

    def result(self) -> BacktestResult:
        """The recorded result; equity and mark stay constant after a ruin."""
        simulator, done = self._simulator, self._done
        self._equity[done:], self._mark[done:] = self._equity[done], self._mark[done - 1]
        simulator.record_closes(np.zeros(0, np.int64))
        worth, leverage = self._closes.daily(self._equity[None], np.array([done]))
        return BacktestResult(
            name=self._name, time=self._time, equity=self._equity, target=self._target, leverage=self._leverage,
            steps=self._steps, ledgers=self._ledgers, ruined=bool(simulator.terminated[0]), slots=simulator.slots,
            config=simulator.config, mark=self._mark, notes=simulator.markets[0].notes, distance=self._distance,
            acted=self._acted, days=self._closes.days, daily_equity=worth[0], daily_leverage=leverage[0],
            flat_at=self._flat_at,
        )  # fmt: skip
