"""A paper account in a folder: bars in, decisions and fills out, everything in a journal first.

The account is what its journal holds: the beginning, then in turn the bars of an interval and the decision at its end.
A line is on disk before anything follows from it, so a run that is killed at any moment goes on as if it had not been.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from gearing.export import Bundle
from gearing.export.live.journal import Journal
from gearing.export.runtime import Fallback
from gearing.live.paper.accounts import NAMES, PAPER, SIMULATED, PaperAccounts
from gearing.live.paper.bars import Feed, Recorded
from gearing.live.paper.clock import Clock
from gearing.live.paper.deciding import decided, guards_of, held, simulated, targets_of
from gearing.live.paper.markets import traded_market, warm_up
from gearing.simulation.tape import decision_bars

NAME = "journal.jsonl"
SCHEMA = 1
_CLOSE_ENOUGH = 1e-9  # relative, of sums of doubles


class PaperError(ValueError):
    """A paper run cannot go on; the message says why and what to do."""


class PaperRun:
    """The paper account of a folder.

    Attributes
    ----------
    decisions : list of dict
        Lines of the journal, ``time`` in milliseconds.
    intervals : list of dict
        What each whole interval brought: ``ledgers`` (2, n_contracts), ``steps`` (2,), ``leverage``
        (2, n_contracts), ``equity`` (2,).
    """

    def __init__(self, bundle: Bundle, journal: Journal, equity: float | None = None, fallback: str = "hold"):
        self.fallback = str(Fallback.read(fallback))
        self.bundle, self.journal, self.folder = bundle, journal, journal.path.parent
        about = bundle.manifest
        self.symbols, self.bar = about.symbols, about.bar
        self.decisions: list[dict[str, Any]] = []
        self.intervals: list[dict[str, Any]] = []
        if not journal.records:
            journal.append("begin", **self._beginning(equity))
        self._begin(journal.records[0], equity)
        # All at once, so that the decisions of the journal are played in one market.
        self._known: Recorded | None = self.all_bars()
        for line in journal.records[1:]:
            if line["kind"] == "decision":
                self._noted(line)
            elif line["kind"] == "bars" and self.decisions:
                self._advance(self.decisions[-1])

    # ------------------------------------------------------------------------------------------- the journal

    def _beginning(self, equity: float | None) -> dict[str, Any]:
        about = self.bundle.manifest
        start = about.config.initial_equity if equity is None else equity
        return {"schema": SCHEMA, "bundle": self.bundle.digest, "equity": float(start)}

    def _begin(self, line: Mapping[str, Any], equity: float | None) -> None:
        about = self.bundle.manifest
        if line.get("kind") != "begin" or line["bundle"] != self.bundle.digest:
            raise PaperError(
                f"{self.journal.path} is the journal of another bundle (digest {str(line.get('bundle'))[:12]}..., this "
                f"one is {self.bundle.digest[:12]}...); begin another folder."
            )
        if equity is not None and line["equity"] != equity:
            raise PaperError(
                f"{self.journal.path} began with an equity of {line['equity']:,.2f}, given {equity:,.2f}; leave it "
                "out, or begin another folder."
            )
        self.accounts = PaperAccounts(about.contracts, about.venue, about.config, line["equity"])
        self.interval = self.accounts.interval

    def _received(self, line: Mapping[str, Any]) -> None:
        """Bars up to the next decision: the last one's orders fill, and the account reaches it."""
        part = Recorded.from_plain(line)
        self._known = part if self._known is None else Recorded.joined([self._known, part])
        if self.decisions:
            self._advance(self.decisions[-1])

    def _noted(self, line: Mapping[str, Any]) -> None:
        self.decisions.append(dict(line))

    def _advance(self, line: Mapping[str, Any]) -> None:
        made, moment = [line[name] for name in NAMES], np.datetime64(line["time"], "ms")
        self.accounts.advance(
            moment,
            targets_of(made, self.symbols),
            guards_of(made, self.symbols),
            lambda: self._market(moment),
        )
        accounts = self.accounts
        self._check_sums(moment)
        self.intervals.append(
            {
                "ledgers": accounts.ledgers.copy(),
                "steps": accounts.steps.copy(),
                "leverage": accounts.leverage(),
                "equity": accounts.accounts.equity.copy(),
            }
        )

    def all_bars(self) -> Recorded | None:
        """All bars and settlements of the journal; None where it has none yet."""
        lines = [line for line in self.journal.records if line["kind"] == "bars"]
        return Recorded.joined(Recorded.from_plain(line) for line in lines) if lines else None

    def _market(self, moment: np.datetime64) -> Any:
        about = self.bundle.manifest
        warm = warm_up(self.bar, about.config.slippage.impact > 0.0)
        known = self._known
        assert known is not None
        end = known.closed_until(self.symbols, self.bar)
        assert end is not None
        return traded_market(known, about.contracts, about.venue.name, self.bar, moment - warm, end)

    def _check_sums(self, moment: np.datetime64) -> None:
        """Reconcile: equity before, and what the ledger says happened, make equity now."""
        for name, step in zip(NAMES, self.accounts.steps, strict=True):
            parts = step.price_pnl + step.fees + step.funding + step.liquidation
            if abs(step.equity - step.equity_before - parts) > _CLOSE_ENOUGH * max(1.0, step.equity_before):
                raise PaperError(
                    f"{self.journal.path}: from {moment} on, equity of the {name} account went from "
                    f"{step.equity_before} to {step.equity}, but its ledger adds up to {parts}. This is a fault in "
                    "gearing; report it with the journal."
                )

    # ------------------------------------------------------------------------------------------- going on

    def next_moment(self, known: Recorded, start: np.datetime64 | None) -> np.datetime64 | None:
        """The next decision; None where the bars hold none: too few of them, or they begin too late."""
        if self.decisions:
            return np.datetime64(self.decisions[-1]["time"], "ms") + self.interval
        first = known.bars.groupby("contract")["open_time"].min()
        if not set(self.symbols) <= set(first.index):
            return None
        warm = warm_up(self.bar, self.bundle.manifest.config.slippage.impact > 0.0)
        begin = np.datetime64(max(first[symbol] for symbol in self.symbols), "ms")
        earliest = begin + max(self.bundle.lookback_bars * self.bar, warm)
        return self._due(earliest if start is None else max(earliest, start))

    def _due(self, moment: np.datetime64) -> np.datetime64:
        """The first close from ``moment`` on at which a decision falls."""
        first = moment - (moment - np.datetime64(0, "ms")) % self.bar
        grid = first + np.arange(2 * int(self.interval // self.bar) + 2) * self.bar
        grid = grid[grid >= moment]
        found: np.datetime64 = grid[decision_bars(grid, self.interval, self.bar)[0]]
        return found

    def go(
        self, feed: Feed, clock: Clock, start: np.datetime64 | None = None, end: np.datetime64 | None = None
    ) -> Iterator[dict[str, Any]]:
        """Decide at each close that is due, until the feed ends; yields each decision's line once it is on disk.

        Parameters
        ----------
        start, end : datetime64[ms], optional
            The first decision falls on ``start`` or later, none on ``end`` or later.
        """
        while True:
            moment = self.next_moment(feed.known(), start)
            if moment is None or (end is not None and moment >= end):
                return
            clock.wait(moment)
            if not self._receive(feed, clock, moment):
                return
            if self.accounts.over[PAPER]:
                return
            line = self.journal.append("decision", **self._decide(moment, clock.now()))
            self._noted(line)
            yield line

    def _receive(self, feed: Feed, clock: Clock, moment: np.datetime64) -> bool:
        """Take the bars up to a decision into the journal; False where the feed ends before."""
        if self._bars_until() == moment:  # killed between its bars and its decision
            return True
        known = feed.known()
        while (closed := known.closed_until(self.symbols, self.bar)) is None or closed < moment:
            if not feed.grows:
                return False
            clock.wait(clock.now() + np.timedelta64(5_000, "ms"))
            known = feed.known(again=True)
        since = self._bars_until()
        if since is None:
            since = moment - max(
                self.bundle.lookback_bars * self.bar,
                warm_up(self.bar, self.bundle.manifest.config.slippage.impact > 0.0),
            )
        part = known.between(since, moment)
        self._check_whole(part, since, moment)
        self._received(self.journal.append("bars", **part.to_plain()))
        return True

    def _bars_until(self) -> np.datetime64 | None:
        return None if self._known is None else self._known.closed_until(self.symbols, self.bar)

    def _check_whole(self, part: Recorded, since: np.datetime64, moment: np.datetime64) -> None:
        expected = np.arange(since, moment, self.bar)
        for symbol in self.symbols:
            opened = part.bars["open_time"][part.bars["contract"] == symbol].to_numpy()
            lost = np.setdiff1d(expected, opened.astype("datetime64[ms]"))
            if lost.size:
                raise PaperError(
                    f"bars of {symbol}: {lost.size} missing, the first at {lost[0]} UTC; the account cannot go over a "
                    "gap. Give them, and run the command again: it goes on here."
                )

    def _decide(self, moment: np.datetime64, now: np.datetime64) -> dict[str, Any]:
        known = self._window(moment)
        last = self.decisions[-1] if self.decisions else dict.fromkeys(NAMES)
        missed = now >= moment + self.interval
        if missed:
            reason = f"missed: decided at {now} UTC only, when the next decision was due"
            paper = held(self.symbols, reason, last["paper"])
        else:
            paper = decided(
                self.bundle,
                known,
                self.accounts.as_account(PAPER),
                max(now, moment),
                last["paper"],
                self.fallback,
            )
        return {
            "time": int(moment.astype(np.int64)),
            "now": int(now.astype(np.int64)),
            "paper": paper,
            "simulated": simulated(
                self.bundle, known, self.accounts.as_account(SIMULATED), last["simulated"]
            ),
            "equity": self.accounts.accounts.equity.tolist(),
        }

    def _window(self, moment: np.datetime64) -> Recorded:
        """The bars that a decision reads; older ones are let go of."""
        assert self._known is not None
        window = self._known.between(
            moment - (self.bundle.lookback_bars + 1200) * self.bar, moment + self.bar
        )
        self._known = window
        return window


@contextmanager
def paper_account(
    bundle: Bundle, folder: Path, equity: float | None = None, fallback: str = "hold"
) -> Iterator[PaperRun]:
    """The paper account of a folder, made if missing, held by this process alone.

    Parameters
    ----------
    equity : float, optional
        At the first decision; default that of the bundle.
    fallback : str
        What a refused decision does: "hold", "flat" or "reduce:2".

    Raises
    ------
    JournalError
        If a line of its journal was changed, or another process holds it.
    PaperError
        If its journal is another bundle's.
    """
    journal = Journal(folder / NAME)
    try:
        yield PaperRun(bundle, journal, equity, fallback)
    finally:
        journal.close()
