"""The Simulator: accounts over markets, and the only caller of the kernel.

The scalar env is a batch of one, the vector env a batch of many, a backtest a batch with a recorder, a sweep a batch
of many rules on one path.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gearing.exchange.engine.batch import Kernel
from gearing.exchange.records import account_dtype, ledger_dtype, position_dtype, records, step_dtype
from gearing.features import FeatureTable
from gearing.market.data import MarketData, market_list
from gearing.market.timing import positive_duration
from gearing.simulation import actions as action_schemes
from gearing.simulation.actions import ActionScheme, make_scheme
from gearing.simulation.config import SimulationConfig
from gearing.simulation.controls import ControlState
from gearing.simulation.kernel_records import config_record, contract_records
from gearing.simulation.observation import Observation, ObservationLayout
from gearing.simulation.paths import (
    check_paths,
    comparable_contracts,
    decisions_per_episode,
    entry_signal,
    path_tables,
    slot_names,
)
from gearing.simulation.rewards import checked_rewards, make_reward
from gearing.simulation.starts import account_keys, chosen_rows, draw_episodes
from gearing.simulation.state import (
    accounts_state,
    checked_count,
    checked_guards,
    checked_mask,
    checked_seeds,
    checked_targets,
    place_accounts,
    restore_accounts,
)
from gearing.simulation.tape import Tape, build_tape


class Simulator:
    """Accounts of one kind over one or several markets.

    Parameters
    ----------
    markets : MarketData or sequence of MarketData
        With several, every episode draws its path. They have the same bar and venue, and either the same contracts or
        one contract each, which may differ: then an account trades another contract in every episode, under that
        contract's own tiers, ticks and lots.
    tables : FeatureTable, sequence of FeatureTable, or None
        What is known at every close, one per market; None computes the default features.
    config : SimulationConfig
    n_accounts : int
    seed : int
        Account i draws its episodes from seed + i.
    n_threads : int
        1 runs serially; more runs the same loop in parallel over accounts.

    Attributes
    ----------
    accounts, positions, ledgers, steps : recarrays
        State and last step; shapes (n_accounts,), (n_accounts, n_slots), (n_accounts, n_slots), (n_accounts,).
    observations : (n_accounts, n_columns) float32
        Written in place by each step: the environments return copies.
    episode_keys : (n_accounts,) uint64
        What each account draws its episodes from.
    ready : bool
        Whether every account has begun an episode.
    controls : ControlState
        The risk controls, and what they remember of every account.
    kernel_contracts : (n_paths, n_contracts) recarray of ``contract_dtype``
        Rounding, fees and margin share of every contract, as the kernel reads them.
    kernel_config : (1,) recarray of ``config_dtype``
        How the kernel treats an account.
    """

    def __init__(
        self,
        markets: MarketData | Sequence[MarketData],
        tables: FeatureTable | Sequence[FeatureTable] | None = None,
        config: SimulationConfig | None = None,
        n_accounts: int = 1,
        seed: int = 0,
        n_threads: int = 1,
    ):
        self.config = config or SimulationConfig()
        self.markets = market_list(markets)
        self.contracts = comparable_contracts(self.markets)
        self.tables = path_tables(self.markets, tables)
        self.profile = self.config.profile(self.markets[0].venue)
        self.slots = slot_names(self.markets, self.config)
        hedged = self.config.position_mode == "hedge"
        self._legs = np.tile([1.0, -1.0], len(self.slots) // 2) if hedged else None
        self.layout = ObservationLayout.of(self.tables[0], self.slots)
        self.scheme = make_scheme(self.config.action, self.config.max_leverage)
        self.reward = make_reward(self.config.reward)
        check_paths(self.markets, self.config, self.layout)
        self.interval = interval = positive_duration(self.config.decision_interval)
        entries = entry_signal(self.config, len(self.contracts))
        self.tape: Tape = build_tape(self.markets, self.tables, interval, self.config.slippage, entries)
        self.kernel_contracts = np.stack(
            [contract_records(m.contracts, self.profile, self.config) for m in self.markets]
        ).view(np.recarray)
        self.kernel_config = config_record(
            self.config, self.profile, tuple(c for m in self.markets for c in m.contracts)
        )
        self._episode_decisions = decisions_per_episode(self.config, interval, self.tape.boundaries)
        self.n_accounts = checked_count(n_accounts, len(self.slots), self.layout.size)
        self._allocate(seed, n_threads)
        self.controls = ControlState(self.config.controls, self)

    def _allocate(self, seed: int, n_threads: int) -> None:
        n, slots = self.n_accounts, len(self.slots)
        self._n_threads = n_threads
        self.ready = False
        self.accounts = records(n, account_dtype)
        self.positions = records((n, slots), position_dtype)
        self.ledgers = records((n, slots), ledger_dtype)
        self.steps = records(n, step_dtype)
        self.observations = np.zeros((n, self.layout.size), np.float32)
        self.saturated = np.zeros(n, np.int64)
        self._all = np.ones(n, np.bool_)
        self._caps: dict[tuple[float, ...], np.ndarray] = {}  # by the levels that they are of
        self.episode_keys = np.zeros(n, np.uint64)
        self._seed_accounts(seed, self._all)
        # Attribute access of a recarray costs microseconds; what every step reads is looked up once.
        accounts, steps = self.accounts.view(np.ndarray), self.steps.view(np.ndarray)
        self._records = accounts, self.positions.view(np.ndarray)
        self._row, self._equity, self._peak = accounts["row"], accounts["equity"], accounts["peak_equity"]
        self._start = accounts["start_equity"]
        self._episode, self._marks = accounts["episode"], self.tape.rows.view(np.ndarray)["mark_close"]
        self._terminated, self._truncated = steps["terminated"], steps["truncated"]
        self._shape = (n, slots)
        self._reads_drawdown = getattr(self.reward, "reads_drawdown", True)
        self._grows = getattr(self.reward, "is_log_growth", False)
        self._no_drawdown = np.full(n, np.nan)
        self._largest_target = self.config.max_leverage * (1.0 + 1e-9)
        self._kernel = Kernel(
            self.tape.arrays(self.kernel_contracts, self.kernel_config), self.accounts, self.positions, self.ledgers,
            self.steps, self.observations, self.saturated, n_threads, self._largest_target,
        )  # fmt: skip

    def reset(self, seed: int | Sequence[int | None] | None = None, mask: Any = None) -> np.ndarray:
        """Begin new episodes (of the accounts in ``mask``) and return the observations, written in place.

        Parameters
        ----------
        seed : int, or sequence of int and None, optional
            Account i begins episode 0 of seed + i, or of the i-th of a sequence; None goes on to its next episode.
        mask : (n_accounts,) bool, optional
        """
        mask = self._all if mask is None else checked_mask(mask, self.n_accounts)
        if seed is not None:
            self._seed_accounts(seed, mask)
        which = np.flatnonzero(mask)
        number, keys = self._episode[which] + 1, self.episode_keys[which]
        edges, times, length = self.tape.boundaries, self.tape.row_time, self._episode_decisions
        self._put(which, *draw_episodes(keys, number, edges, times, self.config.start, length), number)
        return self._begun(mask)

    def _seed_accounts(self, seed: Any, mask: np.ndarray) -> None:
        seeds, given = checked_seeds(seed, self.n_accounts)
        self.episode_keys[mask & given] = account_keys(seeds[mask & given])
        self.accounts.episode[mask & given] = -1

    def begin(self, starts: np.ndarray, count: int | np.ndarray, path: int | np.ndarray = 0) -> np.ndarray:
        """Begin account i at the ``starts[i]``-th decision of its path, for ``count`` decisions or to the data's end.

        ``count`` and ``path`` are one for all, or one each. Returns the observations, written in place.
        """
        paths, first, end = chosen_rows(starts, count, path, self.n_accounts, self.tape.boundaries)
        self._put(np.arange(self.n_accounts), paths, first, end, np.zeros_like(first))
        return self._begun(self._all)

    def note_begun(self) -> None:
        """Note whether every account has begun an episode."""
        self.ready = bool((self._start > 0.0).all())

    def _require_begun(self, which: np.ndarray) -> None:
        if not self.ready and not (self._start[which] > 0.0).all():
            raise RuntimeError("an account has not begun: call reset() or begin() first.")

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy, or a pickle read again, is a new simulator whose accounts stand where these do."""
        made = (self.markets, self.tables, self.config, self.n_accounts, 0, self._n_threads)
        return type(self), made, accounts_state(self)

    __setstate__ = restore_accounts

    def _begun(self, mask: np.ndarray) -> np.ndarray:
        if not self.ready:
            self.note_begun()
        self.reward.reset(mask)
        self.controls.begin(mask)
        self._kernel.observe(mask)
        return self.observations

    def _put(self, which: np.ndarray, *episode: Any) -> None:
        marks = np.repeat(self._marks[episode[1] - 1], len(self.slots) // len(self.contracts), axis=1)
        place_accounts(*self._records, which, self.config.initial_equity, marks, *episode)

    def targets(self, actions: np.ndarray, scheme: ActionScheme | None = None) -> np.ndarray:
        """Signed target leverage (n_accounts, n_slots) of normalised actions, by the action scheme and direction.

        In hedge mode every leg has its side, whatever the direction: actions say how much of each.
        """
        scheme = scheme or self.scheme
        if self._legs is not None:
            return scheme.leverage(actions, self.view, False) * self._legs
        return self.directed(scheme.leverage(actions, self.view, self.config.direction == "free"))

    def directed(self, leverage: np.ndarray, signal: np.ndarray | None = None) -> np.ndarray:
        """Give target leverages their side; in hedge mode, where every leg has one, they come signed.

        Parameters
        ----------
        leverage : (n_accounts, n_slots)
        signal : array that broadcasts to it, optional
            Values of the signal column, by default those that are observed now.

        Raises
        ------
        ValueError
            If a leverage is negative where the direction is fixed.
        """
        leverage = np.asarray(leverage, np.float64)
        if self.config.direction == "free" or self._legs is not None:
            return leverage
        if (leverage < 0.0).any():
            raise ValueError(
                f"target leverage {np.nanmin(leverage):g} is negative, but direction is {self.config.direction!r}, "
                "which owns the side; return magnitudes or use direction='free'."
            )
        column = self.config.signal_column
        if column is not None:
            return leverage * (self.view[column] if signal is None else signal)
        return leverage if self.config.direction == "long" else -leverage

    def action_masks(self, levels: np.ndarray | None = None) -> np.ndarray:
        """Which discrete choices each account may take (n_accounts, n_slots, n_choices).

        A leverage is masked where the margin tiers in force forbid it at the size it would have.

        Parameters
        ----------
        levels : (n_choices,), optional
            Leverages to choose from; by default those of the simulation's own action scheme.
        """
        self._require_begun(self._all)
        levels = action_schemes.discrete_levels(self.scheme) if levels is None else levels
        known = tuple(levels.tolist())
        if known not in self._caps:
            self._caps[known] = action_schemes.schedule_caps(levels, self.tape.tiers, self.tape.schedules)
        shares = np.repeat(self.kernel_contracts.margin_share[0], len(self.slots) // len(self.contracts))
        last = self.tape.rows[self.accounts.row - 1]
        return action_schemes.choice_masks(levels, self._caps[known], last, shares, self.accounts.equity)

    def read_terms(self) -> None:
        """Give the kernel, which holds copies, the records of contracts and settings as they are now."""
        self._kernel.read_terms()

    @property
    def view(self) -> Observation:
        """The current observations by column name."""
        return Observation(self.layout, self.observations)

    @property
    def time(self) -> np.ndarray:
        """Moment of each account's next decision (n_accounts,) datetime64[ms]."""
        rows = np.minimum(self._row, self.tape.row_time.size - 1)
        return self.tape.row_time[rows]

    def step(
        self, targets: np.ndarray, guards: np.recarray | None = None, active: np.ndarray | None = None
    ) -> np.ndarray:
        """Advance (active) accounts by one decision interval and return their rewards.

        Parameters
        ----------
        targets : (n_accounts, n_slots) float64
            Signed target leverage; NaN holds the position.
        guards : (n_accounts, n_slots) recarray of ``guard_dtype``, optional
            Stop, take-profit and trailing distances that replace the resting ones; None leaves them.
        active : (n_accounts,) bool, optional

        Raises
        ------
        ValueError
            If a target is beyond ``max_leverage``.
        """
        active = self._all if active is None else checked_mask(active, self.n_accounts)
        self._require_begun(active)
        targets = checked_targets(targets, self.n_accounts, self.slots, self._legs)
        if guards is not None:
            guards = checked_guards(guards, self._shape).view(np.recarray)
        targets, guards = self.controls.decide(self, targets, guards, active)
        self._check_largest(self._kernel.step(active, targets, guards))
        if self._grows:
            return self._kernel.growth.copy()
        drawdown = self.drawdown if self._reads_drawdown else self._no_drawdown
        return checked_rewards(self.reward(self.steps, drawdown), self.n_accounts)

    def _check_largest(self, largest: float) -> None:
        if largest > self._largest_target:
            raise ValueError(
                f"target leverage {largest:g} exceeds max_leverage {self.config.max_leverage:g}; "
                "bound the policy or raise max_leverage."
            )

    def record_closes(self, rows: np.ndarray) -> np.recarray:
        """Record equity and notionals of every account at the closes of some rows of the tape; see `Kernel`."""
        return self._kernel.record_closes(rows).view(np.recarray)

    @property
    def acted(self) -> np.ndarray:
        """Which controls changed a target of the last step (n_accounts, n_controls)."""
        return self.controls.acted

    @property
    def decided(self) -> np.ndarray:
        """Target leverage of the last step, after all controls (n_accounts, n_slots)."""
        return self.controls.decided

    @property
    def drawdown(self) -> np.ndarray:
        """1 - equity over its peak since the start of the episode (n_accounts,)."""
        return 1.0 - self._equity / self._peak

    @property
    def terminated(self) -> np.ndarray:
        """Which accounts the last step ruined."""
        return self._terminated.astype(np.bool_)

    @property
    def truncated(self) -> np.ndarray:
        """Which accounts the last step brought to the end of their episode."""
        return self._truncated.astype(np.bool_)

    @property
    def ended(self) -> np.ndarray:
        """Which accounts the last step ruined or brought to the end of their episode (n_accounts,)."""
        return (self._terminated | self._truncated).astype(np.bool_)

    @property
    def n_decisions(self) -> int:
        """Decisions left to the first account before its episode ends."""
        edges = self.tape.boundaries[int(self.accounts.path[0])]
        span = np.searchsorted(edges, [self.accounts.row[0], self.accounts.last_row[0]])
        return int(span[1] - span[0])

    def run(
        self,
        targets: np.ndarray,
        record_steps: bool = True,
        record_ledgers: bool = False,
        active: np.ndarray | None = None,
    ) -> tuple[np.recarray, np.recarray]:
        """Run precomputed targets inside compiled code: whole episodes, or their next decisions.

        Parameters
        ----------
        targets : (n_decisions, n_slots), or (n_accounts, n_decisions, n_slots)
            Signed target leverage, shared by all accounts or one series each.
        record_steps, record_ledgers : bool
            What to keep of every step.
        active : (n_accounts,) bool, optional
            Accounts that run; one that was ruined by an earlier call would go on with what it has left.

        Returns
        -------
        steps : (n_accounts, n_decisions) recarray, or with no columns where not recorded
            Zero after an account's ruin.
        ledgers : (n_accounts, n_decisions, n_slots) recarray

        Raises
        ------
        ValueError
            If there are risk controls, which see each decision's account and need ``step``, or a target is beyond
            ``max_leverage``.
        """
        if self.config.controls:
            raise ValueError(
                "precomputed targets pass no controls; step the simulator, or leave controls out."
            )
        active = self._all if active is None else checked_mask(active, self.n_accounts)
        self._require_begun(active)
        targets = checked_targets(targets, self.n_accounts, self.slots, self._legs, path=True)
        targets, count = np.ascontiguousarray(targets), targets.shape[-2]
        self._check_largest(np.fmax.reduce(np.abs(targets), axis=None, initial=0.0))
        stride = count if targets.ndim == 3 else 0
        steps = records((self.n_accounts, count if record_steps else 0), step_dtype)
        ledgers = records((self.n_accounts, count if record_ledgers else 0, len(self.slots)), ledger_dtype)
        self._kernel.run(active, targets.reshape(-1, len(self.slots)), stride, count, steps, ledgers)
        return steps, ledgers
