"""From what was perceived and an account to a decision. It has no clock and reads no file: same inputs, same bits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gearing.exchange.loose import loosened
from gearing.export.account.distance import liquidation_distance
from gearing.export.account.given import read_pending
from gearing.export.account.quotes import Quotes
from gearing.export.account.reading import read_account
from gearing.export.account.solvency import check_solvent
from gearing.export.account.state import AccountState
from gearing.export.account.terms import Terms
from gearing.export.bundle.files import BundleError
from gearing.export.bundle.manifest import Manifest
from gearing.export.calls import calls_of
from gearing.export.deciding.decision import Decision, Refusal
from gearing.export.deciding.memory import check_memory, restarted, split_memory
from gearing.export.deciding.perception import Perception
from gearing.export.deciding.policy import Policy
from gearing.export.deciding.refusals import RefusedError
from gearing.export.deciding.settings import Settings
from gearing.export.deciding.targets import capped, check_targets, filled_holds, limited_to, reductions_only
from gearing.export.reading.bars import naming
from gearing.features import parse_duration
from gearing.policies.registry import describe_control
from gearing.simulation.controls import Situation, apply_controls, no_guards
from gearing.simulation.observation import Observation


@dataclass
class _Outcome:
    """Parts of a decision on the way."""

    targets: np.ndarray
    guards: Any  # (1, n_contracts) plain records
    memory: tuple[Any, ...] = ()
    observation: Mapping[str, float] = field(default_factory=dict)
    answer: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()


class Decider:
    """Makes the decisions of a bundle."""

    def __init__(self, manifest: Manifest, policy: Policy, digest: str):
        self.manifest, self.policy, self.digest = manifest, policy, digest
        self.terms = Terms(manifest)
        self._unguarded = loosened(no_guards((1, len(manifest.symbols))))

    def decide(
        self,
        seen: Perception,
        account: Mapping[str, Any],
        memory: tuple[Any, ...] | None,
        settings: Settings,
        source: Any = None,
    ) -> Decision:
        """Decide on what was perceived.

        Parameters
        ----------
        account : mapping
            As :mod:`gearing.export.account.reading` describes it.
        memory : tuple of arrays, or None
            Of the last decision; it is kept where the decision is refused.
        source : path, optional
            File of the account, for messages.

        Raises
        ------
        RefusedError
            If the decision is refused and ``settings`` have no fallback.
        BundleError
            If the account cannot be read.
        """
        quotes = self.quotes_of(seen, account)
        refusals = [*seen.refusals, *settings.bounds.refusals]
        near, warnings = np.zeros(len(self.manifest.symbols), bool), list[str]()
        with naming(source):
            state = read_account(account, self.terms, quotes)
            pending = read_pending(settings.pending, state)
        with _collecting(refusals), naming(source):
            near, warnings = check_solvent(state, quotes.newest)
        outcome = None
        if not refusals and seen.columns is not None:
            refusals += self._outside(seen.columns, settings.max_outside)
            if not refusals:
                with _collecting(refusals):
                    outcome = self._answered(seen.columns, state, memory)
        if refusals or outcome is None:
            if settings.fallback is None:
                raise RefusedError(refusals)
            targets = settings.fallback.targets(state)
            outcome = _Outcome(targets, self._unguarded, memory or ())
        if settings.bounds.state == "HALTED" and (shown := _shown(state)):
            warnings.append(f"HALTED, and not flat: the venue still shows {shown}")
        notes = [*warnings, *pending, *_unpriced(state), *seen.notes, *state.notes, *outcome.notes]
        return self._decision(state, outcome, near, notes, refusals, settings)

    def _decision(
        self,
        state: AccountState,
        outcome: _Outcome,
        near: np.ndarray,
        notes: list[str],
        refusals: list[Refusal],
        settings: Settings,
    ) -> Decision:
        """Caps, orders and calls of the targets."""
        targets, bounds = outcome.targets, settings.bounds
        targets, cut = capped(targets, self.manifest, state)
        targets, limited = limited_to(targets, bounds.leverage, bounds.notional, state)
        notes += [*cut, *limited]
        if near.any():
            targets, kept = reductions_only(targets, near, state, "near liquidation")
            notes += kept
        if bounds.state != "ACTIVE":
            every = np.ones(near.shape, bool)
            targets, kept = reductions_only(targets, every, state, f"while {bounds.state}")
            notes += kept
        orders, trade_notes = state.trade(targets, outcome.guards)
        held = tuple(name for name, target in zip(state.names, targets, strict=True) if np.isnan(target))
        targets, more = filled_holds(targets, state, "fallback" if refusals else "policy")
        notes += [*more, *trade_notes]
        interval = parse_duration(self.manifest.config.decision_interval)
        time, share = state.quotes.time, state.terms.shares
        names = state.names
        calls = calls_of(settings.venue, self.manifest, state, orders, self.digest, bool(refusals))
        return Decision(
            time=time,
            next_time=time + interval.astype("timedelta64[ms]"),
            target_leverage=dict(zip(names, (targets * share).tolist(), strict=True)),
            effective_leverage=state.effective_leverage(),
            resulting_leverage=state.resulting_leverage(orders),
            policy_leverage=dict(zip(names, targets.tolist(), strict=True)),
            orders=orders,
            reasons=tuple(notes),
            observation=outcome.observation,
            memory=outcome.memory,
            digest=self.digest,
            state=bounds.state,
            refusals=tuple(refusals),
            fallback=str(settings.fallback) if refusals else None,
            calls=calls,
            answer=outcome.answer,
            liquidation_distance=liquidation_distance(state),
            held=held,
        )

    def _outside(self, columns: np.ndarray, tolerance: float | None) -> list[Refusal]:
        """Refusals of observations outside the ranges of training."""
        seen, found = self.manifest.seen, list[Refusal]()
        if seen is None or tolerance is None:
            return found
        for symbol, row in zip(self.manifest.symbols, columns, strict=True):
            if outside := seen.outside(row, self.manifest.columns, tolerance):
                found.append(
                    Refusal(
                        "outside",
                        f"{symbol}: outside what was seen in training: {'; '.join(outside)}. Check the bars; if they "
                        "are right, allow more (max_outside=, --max-outside), or 'off'.",
                    )
                )
        return found

    def _answered(self, columns: np.ndarray, state: AccountState, memory: tuple[Any, ...] | None) -> _Outcome:
        """The policy's answer after the bundle's controls."""
        array = np.concatenate([columns.ravel(), state.observe()])[None, :]
        observation = Observation(self.policy.layout, array)
        before, network_state = split_memory(memory, self.manifest, self.policy.state_shape)
        wanted, after = self.policy.targets(observation, network_state, state)
        check_targets(wanted, self.manifest, observation)
        targets, guards, memories, notes = self._controlled(wanted, observation, state, before)
        memories = memories if after is None else (*memories, (after,))
        notes = [*(restarted(memories, self.manifest) if memory is None else []), *notes]
        named = dict(zip(self.policy.layout.names, array[0].tolist(), strict=True))
        return _Outcome(targets, guards, memories, named, tuple(wanted.tolist()), tuple(notes))

    def _controlled(
        self,
        targets: np.ndarray,
        observation: Observation,
        state: AccountState,
        memory: tuple[Any, ...] | None,
    ) -> tuple[np.ndarray, Any, tuple[Any, ...], list[str]]:
        """Targets and protective orders after the bundle's risk controls, and the controls' memories."""
        controls = self.manifest.config.controls
        if not controls:
            return targets, self._unguarded, (), []
        now = Situation(
            columns=observation,
            time=np.array([state.quotes.time]),
            equity=np.array([state.equity]),
            liquidated=state.liquidated[None, :],
            begins=np.array([memory is None]),
            margin_share=state.terms.shares,
        )
        given = (None,) * len(controls) if memory is None else memory
        if memory is not None:
            check_memory(memory, apply_controls(controls, targets[None, :], now, (None,) * len(controls))[2])
        after, guards, memories, acted = apply_controls(controls, targets[None, :], now, given)
        names = [describe_control(one)["control"] for one in controls]
        changed = [name for name, did in zip(names, acted[0], strict=True) if did]
        return (
            after[0],
            loosened(guards),
            tuple(memories),
            [f"risk control {name} changed the target" for name in changed],
        )

    def quotes_of(self, seen: Perception, account: Mapping[str, Any]) -> Quotes:
        """Prices of a decision; where none could be read, the venue's marks in the account, else entry prices."""
        if seen.quotes is not None:
            return seen.quotes
        held = account.get("positions")
        held = held if isinstance(held, Mapping) else {}
        rows = [held.get(symbol) for symbol in self.manifest.symbols]
        marks = [_price(row, "mark") for row in rows]
        unknown = tuple(j for j, mark in enumerate(marks) if mark is None)
        # 1 where there is no position and nothing depends on it
        prices = np.array(
            [m or _price(row, "entry_price") or 1.0 for m, row in zip(marks, rows, strict=True)]
        )
        moment = np.datetime64("NaT", "ms") if seen.time is None else seen.time
        return Quotes(moment, prices, prices, np.zeros(prices.size), prices, unknown)


def _shown(state: AccountState) -> str:
    """Open positions, in words."""
    held = zip(state.names, state.positions[0], strict=True)
    return ", ".join(f"{p.quantity:g} of {name}" for name, p in held if p.quantity != 0.0)


def _price(position: Any, name: str) -> float | None:
    """A price among a position's fields, if it is one."""
    value = position.get(name) if isinstance(position, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value < np.inf:
        return None
    return float(value)


def _unpriced(state: AccountState) -> list[str]:
    """What a decision says of positions whose present price is not known."""
    return [
        f"{state.names[j]}: no present price is known, as neither bars nor the account give one; the position is "
        "valued at its entry price, and an order that reduces it is a market order"
        for j in state.quotes.unknown
        if state.positions[0, j].quantity != 0.0
    ]


@contextmanager
def _collecting(refusals: list[Refusal]) -> Iterator[None]:
    """Collect what is refused inside."""
    try:
        yield
    except BundleError as error:
        refusals.append(Refusal(error.code, str(error)))
