"""The conformance suite of policies: ``check_policy``."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from inspect import signature
from typing import Any

import numpy as np
import pandas as pd

from gearing.evaluation.backtesting import backtest
from gearing.evaluation.columns import column_table, columns_read
from gearing.evaluation.playing import play
from gearing.exchange.observing import ACCOUNT_COLUMNS, POSITION_COLUMNS
from gearing.features import FeatureSet, FeatureTable, get_feature, registered_features
from gearing.market.data import MarketData, market_list
from gearing.names import nearest
from gearing.plugins import described, users_frame
from gearing.simulation.actions import make_scheme
from gearing.simulation.config import SimulationConfig
from gearing.simulation.hooks import hooks_of
from gearing.simulation.observation import Observation
from gearing.simulation.policy import Policy, check_policy_type
from gearing.simulation.simulator import Simulator

N_ACCOUNTS, N_STEPS = 5, 12
_OWN_COLUMNS = (*POSITION_COLUMNS, *ACCOUNT_COLUMNS)
STAND_IN = (0.05, 0.95)  # values of a column that is not a feature: a forecast, a probability, a signal


@dataclass(frozen=True)
class Finding:
    """One requirement, and the violation ("" if none)."""

    requirement: str
    broken: str


class PolicyError(AssertionError):
    """A policy breaks one of the requirements; the message lists all of them."""


@dataclass(frozen=True, eq=False)
class _Trial:
    """A policy in its simulation of several accounts and contracts."""

    policy: Any
    market: MarketData
    table: FeatureTable
    settings: Mapping[str, Any]

    def simulator(self, n_accounts: int = N_ACCOUNTS, **changes: Any) -> Simulator:
        config = SimulationConfig(**{**self.settings, **changes})
        made = Simulator(self.market, self.table, config, n_accounts)
        made.reset(seed=0)
        return made

    def walk(self, simulator: Simulator, count: int = N_STEPS) -> Any:
        """Step the policy; its last state."""
        return play(simulator, self.policy, count=count).state

    def ask(self, observation: Observation, state: Any = None) -> np.ndarray:
        begins = np.ones(len(observation.array), np.bool_)
        return np.asarray(self.policy.predict(observation, state, begins, deterministic=True)[0])


def check_policy(
    policy: Policy,
    market: MarketData | None = None,
    features: FeatureTable | FeatureSet | Sequence[str] | None = None,
    *,
    raises: bool = True,
    **settings: Any,
) -> pd.DataFrame:
    """Check a policy against the requirements of every interface.

    Parameters
    ----------
    policy : Policy
    market : MarketData, optional
        Default: half a year of synthetic market B with two contracts. A policy that was trained for one contract needs
        a market of one.
    features : optional
        As in :func:`gearing.backtest`; by default those that the policy declares, so that a column it reads without
        declaring it is found. A declared column that is no registered feature (a forecast, say) is given random
        values between 0.05 and 0.95.
    raises : bool
        Whether to raise at the end if anything is broken.
    **settings
        Of the simulation; they override the ``settings`` of the policy.

    Returns
    -------
    DataFrame
        One row per requirement: ``passed``, and ``broken`` with the reason.

    Raises
    ------
    PolicyError
        Listing every requirement that is broken, and what to do.

    Examples
    --------
    A policy of one's own is any object with two declarations and ``predict``:

    >>> class WithTheMonth:
    ...     required_columns = ("momentum_30d",)
    ...     action_scheme = "target"
    ...
    ...     def predict(self, observation, state=None, episode_start=None, deterministic=False):
    ...         return np.where(observation["momentum_30d"] > 0.0, 2.0, 0.0), state
    >>> bool(check_policy(WithTheMonth()).passed.all())
    True
    """
    if isinstance(policy, type | str):
        check_policy_type(policy)
    if market is None:
        from gearing.market.synthetic.generators import synthetic_market

        market = synthetic_market("market-b", seed=3, years=0.5, contracts=("A", "B"))
    market_list(market)
    findings = [_checked(_DECLARES, _declares, policy)]
    if not findings[0].broken:
        given = {"direction": "long", **hooks_of(policy).settings, **settings}
        trial = _Trial(policy, market, _table(policy, market, features, given), given)
        for name, check in _CHECKS.items():
            findings.append(_checked(name, check, trial))
            if findings[-1].broken and name in _FIRST:
                break  # later requirements would fail for the same reason
    broken = [finding for finding in findings if finding.broken]
    if broken and raises:
        text = "\n".join(f"  {finding.requirement}: {finding.broken}" for finding in broken)
        raise PolicyError(f"{type(policy).__name__} breaks {len(broken)} of {len(findings)}:\n{text}")
    rows = [(f.requirement, not f.broken, f.broken) for f in findings]
    return pd.DataFrame(rows, columns=["requirement", "passed", "broken"]).set_index("requirement")


def _checked(name: str, check: Callable[[Any], None], subject: Any) -> Finding:
    try:
        check(subject)
    except Exception as error:
        in_the_policy = users_frame(error) is not None and not isinstance(error, PolicyError)
        return Finding(name, described(error) if in_the_policy else f"{error}" or type(error).__name__)
    return Finding(name, "")


def _table(policy: Any, market: MarketData, features: Any, settings: Mapping[str, Any]) -> FeatureTable:
    if isinstance(features, FeatureTable):
        return features
    config = SimulationConfig(**settings)
    read = columns_read(policy, config)
    table = column_table(read, market, features, forecast=None)
    known = {*table.columns, *_OWN_COLUMNS}
    for name in dict.fromkeys(read):
        if name not in known:
            values = np.random.default_rng(0).uniform(*STAND_IN, (market.n_bars, market.n_contracts))
            table = table.join(name, values, lower=0.0, upper=1.0)
    join = hooks_of(policy).join
    return table if join is None else join(table)


_DECLARES = "declares required_columns, action_scheme and predict"


def _require(fulfilled: bool | np.bool_, broken: str) -> None:
    if not fulfilled:
        raise PolicyError(broken)


def _require_equal(first: np.ndarray, second: np.ndarray, broken: str) -> None:
    _require(np.array_equal(first, second, equal_nan=True), broken)


def _declares(policy: Any) -> None:
    columns: Any = getattr(policy, "required_columns", None)
    named = isinstance(columns, tuple) and all(isinstance(name, str) for name in columns)
    _require(named, f"required_columns is {columns!r}; it must be a tuple of column names")
    scheme = getattr(policy, "action_scheme", None)
    _require(isinstance(scheme, str), f"action_scheme is {scheme!r}; it must be 'target' or a scheme's name")
    _require(callable(getattr(policy, "predict", None)), "there is no method predict")
    try:
        signature(policy.predict).bind(None, None, None, deterministic=True)
    except TypeError as error:
        raise PolicyError(
            f"predict cannot be called as predict(observation, state, episode_start, deterministic=True): {error}"
        ) from None
    for name in columns:
        _require(not (meant := _misspelt(name)), f"no feature {name!r}. Did you mean {meant!r}?")
    if scheme != "target":
        make_scheme(hooks_of(policy).scheme or scheme, 10.0)


def _misspelt(name: str) -> str:
    """The feature that a name probably means; "" for a known feature or an unrelated name."""
    known = [*(feature.name for feature in registered_features()), *_OWN_COLUMNS]
    try:
        get_feature(name)
    except ValueError:
        return "" if name in known else nearest(name, known, cutoff=0.9) or ""
    return ""


def _shape(trial: _Trial) -> None:
    simulator = trial.simulator()
    actions = trial.ask(simulator.view)
    expected = simulator.positions.shape
    message = (
        f"predict returned shape {actions.shape} for {expected[0]} accounts of {expected[1]} contracts: return one "
        f"number for each, shape {expected}"
    )
    _require(actions.shape == expected, message)
    if trial.policy.action_scheme == "target":
        _require(not np.isinf(actions).any(), "a target leverage is infinite")
    else:
        _require(np.isfinite(actions).all(), "a normalised action is not finite")


def _bounds(trial: _Trial) -> None:
    simulator = trial.simulator()
    trial.walk(simulator)  # the simulator refuses a side that is not the policy's, and too much leverage


def _deterministic(trial: _Trial) -> None:
    simulator = trial.simulator()
    trial.walk(simulator, 3)
    first, second = trial.ask(simulator.view), trial.ask(simulator.view)
    _require_equal(first, second, "two calls with deterministic=True differ: draw nothing then")


def _alone(trial: _Trial) -> None:
    simulator = trial.simulator()
    trial.walk(simulator, 3)
    array = simulator.observations.copy()
    together = trial.ask(Observation(simulator.layout, array))
    for i in range(len(array)):
        alone = trial.ask(Observation(simulator.layout, array[i : i + 1]))
        close = np.allclose(alone[0], together[i], rtol=1e-5, atol=1e-6, equal_nan=True)
        _require(
            close,
            f"account {i} gets {alone[0]} alone and {together[i]} "
            "among others: compute each row from itself, no mean over accounts",
        )


def _leaves_alone(trial: _Trial) -> None:
    simulator = trial.simulator()
    before = simulator.observations.copy()
    trial.ask(simulator.view)
    _require_equal(before, simulator.observations, "predict wrote into the observation: change a copy")


def _forgets(trial: _Trial) -> None:
    simulator = trial.simulator()
    state = trial.walk(simulator)
    fresh, used = trial.ask(simulator.view), trial.ask(simulator.view, deepcopy(state))
    same = np.allclose(fresh, used, equal_nan=True)
    _require(same, "its state survives episode_start: reset it where that is True")


def _extremes(trial: _Trial) -> None:
    simulator = trial.simulator()
    low, high = simulator.layout.low, simulator.layout.high
    for array in (low, high, 0.5 * (low + high)):
        rows = np.repeat(array[None].astype(np.float32), N_ACCOUNTS, axis=0)
        with np.errstate(all="ignore"):
            actions = trial.ask(Observation(simulator.layout, rows))
        _require(
            not np.isinf(actions).any(),
            "at the bounds of the observation it returns infinity: bound what it divides by",
        )
        _require(
            not np.isnan(actions).any(),
            "at the bounds of the observation it returns NaN, which means hold: guard logarithms and 0 / 0",
        )


def _same_in_batch_and_backtest(trial: _Trial) -> None:
    played = backtest(trial.policy, trial.market, trial.table, **{**trial.settings, "start": "first"})
    simulator = trial.simulator(2, start="first")
    trial.walk(simulator)
    count = min(N_STEPS, len(played.target))
    found = simulator.accounts.equity
    _require(
        np.allclose(found, played.equity[count], rtol=1e-9),
        f"after {count} decisions a backtest has equity {played.equity[count]:.6f}, accounts of a batch {found}",
    )


def _no_future(trial: _Trial) -> None:
    last = trial.market.open_time[-1 - trial.market.n_bars // 10]
    cut, rows = trial.market.between(None, last), trial.table.between(None, last)
    settings = {**trial.settings, "start": "first"}
    whole = backtest(trial.policy, trial.market, trial.table, **settings).target
    short = backtest(trial.policy, cut, rows, **settings).target
    _require_equal(
        whole[: len(short)],
        short,
        "on a market that ends earlier it decides differently before that end: use only the observation and state",
    )


def _copies(trial: _Trial) -> None:
    simulator = trial.simulator()
    again, own = (one.ask(simulator.view) for one in (replace(trial, policy=deepcopy(trial.policy)), trial))
    _require_equal(again, own, "a copy returns something else: store what it needs in its own attributes")


_FIRST = ("returns (n_accounts, n_contracts)", "stays within max_leverage and its side")
_CHECKS: dict[str, Callable[[_Trial], None]] = {
    "returns (n_accounts, n_contracts)": _shape,
    "stays within max_leverage and its side": _bounds,
    "is deterministic": _deterministic,
    "treats an account alone as among others": _alone,
    "does not write into the observation": _leaves_alone,
    "resets its state where an episode begins": _forgets,
    "returns a number at the bounds of the observation": _extremes,
    "trades the same in a batch and in a backtest": _same_in_batch_and_backtest,
    "does not use the future": _no_future,
    "can be copied": _copies,
}
