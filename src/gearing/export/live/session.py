"""A bundle that decides for one account: states, limits, and a log from which it continues after any end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from gearing.exchange.rules import notional
from gearing.export.account.reading import read_account
from gearing.export.account.state import AccountState
from gearing.export.bundle.files import BundleError
from gearing.export.deciding.decision import Decision, Refusal
from gearing.export.deciding.memory import read_memory, written_memory
from gearing.export.deciding.perception import Perception
from gearing.export.deciding.settings import Bounds, Settings, read_settings
from gearing.export.live.journal import Journal, JournalError
from gearing.export.live.limits import Limits, State, Tally
from gearing.export.reading.jumps import MAX_JUMP
from gearing.export.reading.moment import read_moment
from gearing.storage.digest import package_version

LOG = "decisions.jsonl"
_HOUR = np.timedelta64(3_600_000, "ms")


class Session:
    """Decisions of a bundle for one account, one after the other.

    A decision is taken once: at the same due close the same one is returned again, with the same client order
    ids. It is in the log before it is returned, so a process that is killed anywhere continues where it was.

    Parameters
    ----------
    bundle : Bundle
    folder : path
        Of the log, ``decisions.jsonl``.
    limits : Limits or mapping
    fallback : str
        What a refused decision does, and what is done while HALTED: "hold", "flat", "reduce:2".
    venue : str, optional
        Whose calls are listed.
    max_age, max_jump, max_outside
        As of `Bundle.decide`.

    Raises
    ------
    JournalError
        If the log was changed, is another bundle's, or is open in another process.
    """

    def __init__(
        self,
        bundle: Any,
        folder: str | Path,
        *,
        limits: Limits | Mapping[str, Any] = Limits(),  # noqa: B008  frozen
        fallback: Any = "hold",
        venue: str | None = None,
        max_age: str | None = None,
        max_jump: float | str = MAX_JUMP,
        **settings: Any,
    ):
        self.bundle, self.limits = bundle, Limits.read(limits)
        self._settings = read_settings(fallback=fallback, venue=venue, **settings)
        if self._settings.fallback is None:
            raise BundleError("a session needs a fallback: 'hold', 'flat' or 'reduce:2'.")
        self._max_age, self._max_jump = max_age, max_jump
        self.journal = Journal(Path(folder) / LOG)
        self.tally = Tally()
        self.last: Decision | None = None
        self._memory: tuple[Any, ...] | None = None
        if self.journal.records:
            self._continue()
        else:
            self.journal.append(
                "begin", digest=bundle.digest, name=bundle.manifest.name, version=package_version(),
                limits=self.limits.as_dict(), fallback=str(self._settings.fallback), venue=venue,
            )  # fmt: skip

    @property
    def state(self) -> State:
        """ACTIVE, REDUCING or HALTED."""
        return State(self.tally.state)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let another process open the session."""
        self.journal.close()

    def decide(
        self,
        bars: Any,
        account: Any,
        funding: Any = None,
        *,
        now: Any,
        pending: Sequence[Mapping[str, Any]] = (),
    ) -> Decision:
        """Decide at the last due close before ``now``; arguments as those of `Bundle.decide`.

        Parameters
        ----------
        pending : sequence of mappings
            Orders that were sent and are not filled: ``contract`` and signed ``quantity``.

        Raises
        ------
        BundleError
            If the account cannot be read: unknown is not flat. Nothing is logged then but the fact.
        """
        seen = self.bundle.perceive(bars, funding, now=now, max_age=self._max_age, max_jump=self._max_jump)
        return self.decide_on(seen, account, now=now, pending=pending)

    def decide_on(
        self, seen: Perception, account: Any, *, now: Any, pending: Sequence[Mapping[str, Any]] = ()
    ) -> Decision:
        """Decide on what a stream perceived."""
        if (
            self.last is not None
            and not self.last.refusals
            and seen.time is not None
            and seen.time == self.last.time
        ):
            return self.last
        tally, bounds = deepcopy(self.tally), list[Refusal]()
        moment = self._moment(now, seen, tally, bounds)
        try:
            values = self.bundle.account_of(account)
            state = read_account(
                values, self.bundle.decider.terms, self.bundle.decider.quotes_of(seen, values)
            )
        except BundleError as error:
            self.journal.append("unreadable", moment=moment, reason=str(error), code=error.code)
            raise
        self._compare(state, pending, tally, bounds)
        self._limit(state, moment, tally)
        if tally.state == State.HALTED:
            bounds.append(Refusal("halted", f"HALTED: {tally.reason}. A person has to resume the session."))
        settings = replace(
            self._settings,
            bounds=Bounds(tally.state, self.limits.leverage, self.limits.notional, tuple(bounds)),
            pending=tuple(dict(one) for one in pending),
        )
        decision = self.bundle.decider.decide(seen, values, self._memory, settings)
        if decision.refusals and tally.state != State.HALTED and tally.refusals + 1 >= self.limits.refusals:
            # This refusal is the last that the limit allows: decide again as HALTED, so that the log replays.
            tally.worsen(
                State.HALTED,
                f"{tally.refusals + 1} refusals in a row; the limit is {self.limits.refusals:g}",
            )
            settings = replace(settings, bounds=replace(settings.bounds, state=tally.state))
            decision = self.bundle.decider.decide(seen, values, self._memory, settings)
        self._count(decision, state, moment, tally)
        self._log(seen, values, settings, decision, tally, moment)
        self.tally, self.last, self._memory = tally, decision, decision.memory or None
        return decision

    def halt(self, person: str, reason: str) -> None:
        """Enter HALTED. The fallback is what the next decision does; the account is flat when the venue shows it."""
        self._by_person("halt", State.HALTED, person, reason)

    def resume(self, person: str, reason: str) -> None:
        """Return to ACTIVE; the venue's account as it is then is taken as right."""
        self._by_person("resume", State.ACTIVE, person, reason)

    def _by_person(self, kind: str, state: State, person: str, reason: str) -> None:
        if not (isinstance(person, str) and person.strip() and isinstance(reason, str) and reason.strip()):
            raise BundleError(f"{kind}: give the person and the reason; both are logged.")
        tally = deepcopy(self.tally)
        tally.state, tally.reason = state.value, "" if state == State.ACTIVE else f"{person}: {reason}"
        if state == State.ACTIVE:
            tally.refusals, tally.held, tally.peak, tally.day, tally.decided = 0, {}, 0.0, "", None
        self.journal.append(kind, person=person, reason=reason, tally=asdict(tally))
        self.tally = tally

    def _moment(self, now: Any, seen: Perception, tally: Tally, bounds: list[Refusal]) -> str | None:
        """``now`` as text; a clock that runs backwards is refused."""
        try:
            moment = read_moment(now)
        except BundleError:
            return None  # refused by `perceive`
        moment = seen.time if moment is None else moment
        if moment is None:
            return None
        if tally.moment is not None and moment < np.datetime64(tally.moment, "ms"):
            bounds.append(
                Refusal(
                    "clock",
                    f"now is {moment} UTC, before the last decision's {tally.moment}: the clock ran back.",
                )
            )
            return tally.moment
        tally.moment = str(moment)
        return tally.moment

    def _compare(
        self, state: AccountState, pending: Sequence[Mapping[str, Any]], tally: Tally, bounds: list[Refusal]
    ) -> None:
        """Refuse an account that the last decision and its fills do not explain."""
        for j, name in enumerate(state.names):
            low, high, may_be_flat = tally.held.get(name, [-np.inf, np.inf, True])
            held = float(state.positions[0, j].quantity)
            held += sum(float(one.get("quantity", 0.0)) for one in pending if one.get("contract") == name)
            slack = 1e-9 * max(abs(low), abs(high), 1e-9) + 1e-6 * float(state.contracts[j].lot_size)
            if low - slack <= held <= high + slack or (held == 0.0 and may_be_flat):
                continue
            what = (
                f"{name}: the venue shows {held:g}; after the last decision it should be {low:g} to {high:g}"
            )
            bounds.append(
                Refusal(
                    "account",
                    f"{what}. Look for a liquidation, or orders by somebody else; then resume the session.",
                )
            )
            tally.worsen(State.REDUCING, what)

    def _limit(self, state: AccountState, moment: str | None, tally: Tally) -> None:
        day = (moment or tally.day or "1970-01-01")[:10]
        tally.begin_day(day, state.equity)
        values = [
            float(notional(p.quantity, p.mark, c.inverse))
            for p, c in zip(state.positions[0], state.contracts, strict=True)
        ]
        tally.check_equity(self.limits, state.equity)
        tally.check_exposure(self.limits, sum(values) / state.equity, max(values))
        tally.check_trading(self.limits)
        hours = 0.0
        if moment is not None and tally.decided is not None:
            hours = float((np.datetime64(moment, "ms") - np.datetime64(tally.decided, "ms")) / _HOUR)
        tally.check_refusals(self.limits, hours)

    def _count(self, decision: Decision, state: AccountState, moment: str | None, tally: Tally) -> None:
        """What the decision adds, and what the venue may show next."""
        tally.refusals = tally.refusals + 1 if decision.refusals else 0
        if not decision.refusals:
            tally.decided = moment
        explained = not any(one.code == "account" for one in decision.refusals)
        for j, order in enumerate(decision.orders):
            tally.orders += order.side != "none"
            tally.turnover += order.notional if order.side != "none" else 0.0
            before = float(state.positions[0, j].quantity)
            change = {"buy": order.quantity, "sell": -order.quantity}.get(order.side, 0.0)
            rests = any(one is not None for one in (order.stop, order.take_profit, order.trailing))
            if explained:
                tally.held[order.contract] = [
                    min(before, before + change),
                    max(before, before + change),
                    rests,
                ]

    def _log(
        self,
        seen: Perception,
        values: Mapping[str, Any],
        settings: Settings,
        decision: Decision,
        tally: Tally,
        moment: str | None,
    ) -> None:
        self.journal.append(
            "decision",
            moment=moment,
            seen=seen.as_dict(),
            account=dict(values),
            memory=None if self._memory is None else written_memory(self._memory),
            settings=settings.as_dict(),
            decision=decision.as_dict(),
            tally=asdict(tally),
        )

    def _continue(self) -> None:
        """Take up where the log ends."""
        first, records = self.journal.records[0], self.journal.records
        if first.get("kind") != "begin" or first.get("digest") != self.bundle.digest:
            found = first.get("digest")
            self.close()
            raise JournalError(
                f"{self.journal.path} is the log of the bundle {found}, not of {self.bundle.digest}; choose another "
                "folder for another bundle."
            )
        for record in records:
            if "tally" in record:
                self.tally = Tally(**record["tally"])
            if record["kind"] == "decision":
                self.last = Decision.from_dict(record["decision"])
        if self.last is not None and self.last.memory:
            self._memory = read_memory(self.last.memory)
