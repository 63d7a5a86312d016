"""A backtest: the Simulator of one account with a recorder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gearing.evaluation.result import BacktestResult
from gearing.exchange.records import ledger_dtype, records, step_dtype
from gearing.features import Feature, FeatureSet, FeatureTable, is_feature
from gearing.market.data import MarketData
from gearing.simulation.actions import make_scheme
from gearing.simulation.config import SimulationConfig, check_settings
from gearing.simulation.policy import Policy, check_columns
from gearing.simulation.simulator import Simulator

SHORTEST = "log_return"  # the column of a table from which nobody asks any: it is complete after two bars
Progress = Callable[[int, int], None]  # (decisions done, decisions in all)


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
    check_settings(settings)
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
