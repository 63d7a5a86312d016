"""Run a policy, or a series of leverages, on the accounts of one Simulator while observers record.

Backtests, scores, comparisons, sweeps and risk estimates differ in their observers only.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from gearing.exchange.records import ledger_dtype, records, step_dtype
from gearing.simulation.actions import make_scheme
from gearing.simulation.hooks import hooks_of
from gearing.simulation.observation import Observation
from gearing.simulation.policy import Policy, check_policy_type
from gearing.simulation.simulator import Simulator

_Targets = Callable[[int, Any, np.ndarray], tuple[np.ndarray, Any]]


class Observer:
    """Called at every decision of `play`. A subclass overrides what it needs."""

    def begin(self, simulator: Simulator, count: int) -> None:
        """Before the first of at most ``count`` decisions."""

    def decided(self, k: int, simulator: Simulator, targets: np.ndarray, active: np.ndarray) -> None:
        """After the k-th decision and before its interval: the simulator's view is the policy's observation.

        Parameters
        ----------
        targets : (n_accounts, n_slots) float64
            Signed target leverage before risk controls; NaN holds.
        active : (n_accounts,) bool
            Accounts that decide; ignore the others.
        """

    def stepped(self, k: int, simulator: Simulator, active: np.ndarray) -> None:
        """After the k-th interval of the ``active`` accounts."""


class Records(Observer):
    """Records the steps, the ledgers or both of every interval.

    The only observer that does not slow down a series of leverages: both are recorded in compiled code.

    Attributes
    ----------
    steps : (n_accounts, n_decisions) recarray of ``step_dtype``
        Zero after an account's end; without columns if not requested.
    ledgers : (n_accounts, n_decisions, n_slots) recarray of ``ledger_dtype``
    """

    def __init__(self, steps: bool = True, ledgers: bool = False):
        self.wanted = steps, ledgers
        self.steps = records((0, 0), step_dtype)
        self.ledgers = records((0, 0, 0), ledger_dtype)

    def begin(self, simulator: Simulator, count: int) -> None:
        """Allocate the records."""
        n, (steps, ledgers) = simulator.n_accounts, self.wanted
        self.steps = records((n, count if steps else 0), step_dtype)
        self.ledgers = records((n, count if ledgers else 0, len(simulator.slots)), ledger_dtype)

    def stepped(self, k: int, simulator: Simulator, active: np.ndarray) -> None:
        """Copy the step."""
        steps, ledgers = self.wanted
        if steps:
            self.steps[active, k] = simulator.steps[active]
        if ledgers:
            self.ledgers[active, k] = simulator.ledgers[active]


class Continuation(NamedTuple):
    """State at which `play` stopped, from which it can continue."""

    active: np.ndarray  # (n_accounts,) bool, which accounts have not ended
    state: Any  # the policy's last state


def play(
    simulator: Simulator,
    policy: Policy | np.ndarray,
    *observers: Observer,
    count: int | None = None,
    active: np.ndarray | None = None,
    state: Any = None,
) -> Continuation:
    """Step the accounts of a simulator from their present rows until all have ended, or for some decisions.

    Parameters
    ----------
    simulator : Simulator
        Its accounts begin at ``reset``, ``begin`` or an earlier call.
    policy : Policy, or array (n_decisions, n_slots) or (n_accounts, n_decisions, n_slots)
        A policy, its hooks included (see :class:`gearing.simulation.hooks.PolicyHooks`), or a series of target
        leverages for all accounts or for each: magnitudes, to which the direction of the simulation gives the side, or
        signed ones where it is "free" or in hedge mode. NaN holds.
    *observers : Observer
        With a series, no risk controls and no other observers than `Records`, all decisions run in one compiled call,
        which writes no observations.
    count : int, optional
        Decisions; by default all that are left, or as many as the series has.
    active : (n_accounts,) bool, optional
        Accounts to step; all by default. An account stops at ruin or at the end of its episode.
    state : object, optional
        The policy's state from an earlier call; None where episodes begin.

    Raises
    ------
    ValueError
        If a target is on the wrong side or beyond ``max_leverage``.
    """
    active = np.ones(simulator.n_accounts, np.bool_) if active is None else active
    if isinstance(policy, np.ndarray):
        series = np.asarray(policy, np.float64)[..., :count, :]
        if not simulator.config.controls and all(type(observer) is Records for observer in observers):
            return _run(simulator, series, observers, active)
        return _step(simulator, _of_series(series, simulator), observers, series.shape[-2], active, None)
    check_policy_type(policy)
    precomputed = hooks_of(policy).precomputed
    if precomputed is not None:
        policy = precomputed(simulator, decision_rows(simulator))
    left = int(decisions_left(simulator).max()) if count is None else count
    return _step(simulator, _of_policy(policy, simulator), observers, left, active, state)


def _step(
    simulator: Simulator,
    choose: _Targets,
    observers: Sequence[Observer],
    count: int,
    active: np.ndarray,
    state: Any,
) -> Continuation:
    """Decision by decision."""
    for observer in observers:
        observer.begin(simulator, count)
    decided = [o.decided for o in observers if type(o).decided is not Observer.decided]
    stepped = [o.stepped for o in observers if type(o).stepped is not Observer.stepped]
    begins = np.full(simulator.n_accounts, state is None)
    for k in range(count):
        targets, state = choose(k, state, begins)
        begins = np.zeros(simulator.n_accounts, np.bool_)
        for see in decided:
            see(k, simulator, targets, active)
        simulator.step(targets, active=active)
        for record in stepped:
            record(k, simulator, active)
        active = active & ~simulator.ended
        if not active.any():
            break
    return Continuation(active, state)


def _run(
    simulator: Simulator, series: np.ndarray, observers: Sequence[Any], active: np.ndarray
) -> Continuation:
    """All decisions in one compiled call."""
    steps, ledgers = (any(o.wanted[part] for o in observers) for part in (0, 1))
    found = simulator.run(_signed(series, simulator), steps, ledgers, active)
    for observer in observers:
        observer.begin(simulator, 0)
        for name, wanted, recorded in zip(("steps", "ledgers"), observer.wanted, found, strict=True):
            if wanted:
                setattr(observer, name, recorded)
    return Continuation(active & ~simulator.ended, None)


def _signed(series: np.ndarray, simulator: Simulator) -> np.ndarray:
    """The series with its side, possibly from a signal column."""
    column = simulator.config.signal_column
    if column is None:
        return simulator.directed(series)
    rows = decision_rows(simulator, series.shape[-2])
    signal = market_view(simulator, rows.ravel())[column]
    return simulator.directed(series, signal.reshape(*rows.shape, -1))


def _of_series(series: np.ndarray, simulator: Simulator) -> _Targets:
    shape = (simulator.n_accounts, len(simulator.slots))

    def choose(k: int, state: Any, begins: np.ndarray) -> tuple[np.ndarray, Any]:
        return simulator.directed(np.broadcast_to(series[..., k, :], shape)), None

    return choose


def _of_policy(policy: Policy, simulator: Simulator) -> _Targets:
    """Signed targets of a policy at the simulator's current observations, and its next state."""
    hooks, n_accounts = hooks_of(policy), simulator.n_accounts
    predict: Any = policy.predict
    signed: Callable[[Any], np.ndarray] = simulator.directed
    if policy.action_scheme != "target":
        scheme = make_scheme(hooks.scheme or policy.action_scheme, simulator.config.max_leverage)

        def signed(actions: Any) -> np.ndarray:
            return simulator.targets(np.asarray(actions), scheme)

    def choose(k: int, state: Any, begins: np.ndarray) -> tuple[np.ndarray, Any]:
        masks = {}
        if hooks.masked:
            masks["action_masks"] = simulator.action_masks(hooks.scheme.magnitudes).reshape(n_accounts, -1)
        actions, state = predict(simulator.view, state, begins, deterministic=True, **masks)
        return signed(actions), state

    return choose


def signed_targets(
    policy: Policy, simulator: Simulator, state: Any, begins: np.ndarray
) -> tuple[np.ndarray, Any]:
    """Signed targets (n_accounts, n_slots) of one decision, and the policy's next state; nothing is stepped."""
    return _of_policy(policy, simulator)(0, state, begins)


def decisions_left(simulator: Simulator) -> np.ndarray:
    """Decisions of each account from its present row to the end of its episode (n_accounts,)."""
    accounts = simulator.accounts.view(np.ndarray)
    left = np.zeros(simulator.n_accounts, np.int64)
    for path, edges in enumerate(simulator.tape.boundaries):
        here = accounts["path"] == path
        row, last = (np.searchsorted(edges, accounts[name][here]) for name in ("row", "last_row"))
        left[here] = last - row
    return left


def decision_rows(simulator: Simulator, count: int | None = None) -> np.ndarray:
    """Rows of the tape at which each account decides until its episode ends (n_accounts, n_decisions).

    An episode shorter than the longest, or than ``count``, repeats its last row.
    """
    left, accounts = decisions_left(simulator), simulator.accounts.view(np.ndarray)
    ahead = np.minimum(np.arange(left.max() if count is None else count), left[:, None] - 1)
    rows = np.empty_like(ahead)
    for path, edges in enumerate(simulator.tape.boundaries):
        here = accounts["path"] == path
        rows[here] = edges[np.searchsorted(edges, accounts["row"][here])[:, None] + ahead[here]]
    return rows


def decision_times(simulator: Simulator) -> np.ndarray:
    """Moments of the decisions of the first account's episode, and of its end (n_decisions + 1,) datetime64[ms]."""
    account, times = simulator.accounts[0], simulator.tape.row_time
    edges = simulator.tape.boundaries[int(account.path)]
    span = edges[np.searchsorted(edges, account.row) : np.searchsorted(edges, account.last_row) + 1]
    closing = simulator.markets[int(account.path)].close_time[-1]
    return np.array([times[row] if row < times.size else closing for row in span], "datetime64[ms]")


def all_decisions(simulator: Simulator) -> tuple[Observation, np.ndarray]:
    """Every decision of the first account's episode as one batch of observations, and each one's side.

    A rule that does not read its account returns all targets at once. The account columns are zero.

    Returns
    -------
    observation : of n_decisions accounts
    sides : (n_decisions, n_slots) float64
        Factors of the simulation's direction.
    """
    view = market_view(simulator, decision_rows(simulator)[0, : simulator.n_decisions])
    column = simulator.config.signal_column
    sides = np.ones((len(view.array), len(simulator.slots)))
    return view, simulator.directed(sides, None if column is None else view[column])


def market_view(simulator: Simulator, rows: np.ndarray) -> Observation:
    """Market columns known at decisions at rows (n,) of the tape, as n accounts; the account columns are zero."""
    tape, layout = simulator.tape, simulator.layout
    known = tape.features[tape.rows.bar[rows - 1, 0]]
    array = np.zeros((rows.size, layout.size), np.float32)
    array[:, : known.shape[1]] = known
    return Observation(layout, array)
