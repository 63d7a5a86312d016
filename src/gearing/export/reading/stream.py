"""A bundle's features bar by bar: a bar in, a decision out, without computing the look-back again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from gearing.export.account.quotes import Quotes
from gearing.export.bundle.files import BundleError
from gearing.export.bundle.manifest import Manifest
from gearing.export.deciding.decision import Decision, Refusal
from gearing.export.deciding.memory import given_memory
from gearing.export.deciding.perception import Perception
from gearing.export.deciding.policy import Policy
from gearing.export.deciding.settings import read_settings
from gearing.export.reading.bars import Inputs, check_finite, later_note, read_market, reads_funding
from gearing.export.reading.jumps import JumpWatch
from gearing.export.reading.moment import check_fresh, due_before, read_moment
from gearing.features import FeatureSet, parse_duration
from gearing.features.streaming.stepping import FeatureStream, one_bar
from gearing.market.data import settlement_array, sorted_settlements
from gearing.market.history.series import whole_minutes
from gearing.market.timing import stamp
from gearing.market.validate import check_ohlc
from gearing.names import check_names

_PRICES = ("open", "high", "low", "close")
_SERIES = (("last", ""), ("mark", "mark_"), ("index", "index_"))
_PUBLISHED = ("implied_volatility", "predicted_rate")
_NO_SETTLEMENTS = sorted_settlements([])


class Stream:
    """Decisions of a bundle, one bar after the other; equal to `Bundle.decide` on the same bars.

    Parameters
    ----------
    manifest : Manifest
    policy : Policy
    conclude : callable
        `Bundle.conclude`.
    bars, funding
        Look-back, as `Bundle.decide` takes them.
    max_jump : float or "off"
        As of `Bundle.decide`.

    Attributes
    ----------
    next_open : datetime64[ms]
        Opening of the bar that `push` takes next, UTC.
    """

    def __init__(
        self,
        manifest: Manifest,
        policy: Policy,
        conclude: Callable[..., Decision],
        bars: Any,
        funding: Any,
        max_jump: float | str,
    ):
        self.manifest, self._policy, self._conclude, about = manifest, policy, conclude, manifest
        self._interval = parse_duration(about.config.decision_interval)
        every = replace(about, config=about.config.with_(decision_interval=about.bar))
        inputs = read_market(every, bars, funding, None, None, max_jump)
        market = inputs.market
        self._market, self._has_marks = market.rows(market.n_bars - 1, market.n_bars), inputs.has_marks
        self._watch = JumpWatch(market, max_jump)
        self._last_settled = market.settlements["time"][-1:] if reads_funding(about) else None
        self.next_open, self._newest = market.close_time[-1], inputs.marks
        begun = self._last_due(bars, funding, max_jump) or inputs
        self._notes = tuple(
            note for note in begun.notes if note != later_note(about, begun.market.close_time[-1])
        )
        sets = [
            FeatureSet(list(names))
            for names in (about.features, *(f.inputs for f in about.forecasts))
            if names
        ]
        self._stream = FeatureStream(sets, begun.market)
        signals = {name: values[-1] for name, values in begun.signals.items()}
        self._seen = self._perceived(Quotes.of(begun.market, inputs.marks), signals, self._stream.rows)
        # Where the look-back holds no whole one before a decision, the first is due later.
        self._due = due_before(self._seen_at, about) == self._seen_at
        for k in range(int(np.searchsorted(market.open_time, begun.market.close_time[-1])), market.n_bars):
            row = market.rows(k, k + 1)
            self._stream.push(
                one_bar(market, open_time=row.open_time, settlements=row.settlements, **row.arrays())
            )

    @cached_property
    def _needed(self) -> list[str]:
        """Fields of a bar."""
        needed = ["open_time", *_PRICES, "volume", *self.manifest.signals]
        needed += [f"{prefix}{p}" for name, prefix in _SERIES[1:] if self._has(name) for p in _PRICES]
        return needed + [name for name in _PUBLISHED if getattr(self._market, name) is not None]

    @cached_property
    def _known(self) -> dict[str, None]:
        optional = [f"{prefix}{p}" for _, prefix in _SERIES for p in _PRICES]
        return dict.fromkeys([*self._needed, *optional, *_PUBLISHED, "contract", "source"])

    @cached_property
    def _order(self) -> list[int]:
        """Places of the observation's columns among features, forecasts and signals."""
        about = self.manifest
        made = [*about.features, *(spec.column for spec in about.forecasts), *about.signals]
        return [made.index(name) for name in about.columns]

    @property
    def _seen_at(self) -> np.datetime64:
        time = self._seen.time
        return self.next_open if time is None else time

    def _last_due(self, bars: Any, funding: Any, max_jump: float | str) -> Inputs | None:
        """The look-back before the last due close; None where there are too few bars before it."""
        try:
            return read_market(self.manifest, bars, funding, None, None, max_jump)
        except BundleError:
            return None

    def push(self, bar: Mapping[str, Any], funding: Sequence[Mapping[str, Any]] = ()) -> None:
        """Take the next bar of every contract.

        Parameters
        ----------
        bar : mapping
            ``open_time``, prices and ``volume`` as the columns of `Bundle.decide`; with several contracts a mapping of
            symbol to such a bar.
        funding : sequence of mappings
            Settlements stamped in the bar: ``time``, ``rate``, optionally ``mark`` and ``contract``.

        Raises
        ------
        BundleError
            For a bar that is not the next one, or has impossible values; the stream is as before.
        """
        rows = [self._checked(symbol, bar) for symbol in self.manifest.symbols]
        arrays = _arrays(rows, self._market)
        cash = self._settled(funding)
        for j, symbol in enumerate(self.manifest.symbols):
            self._watch.check(arrays["last"][0, j], j, symbol)
        time = np.array([self.next_open], "datetime64[ms]")
        made = one_bar(self._market, open_time=time, settlements=cash, **arrays)
        found = self._stream.push(made)
        self._watch.add(arrays["last"][0])
        self.next_open = time[0] + self.manifest.bar
        self._newest = arrays["mark"][0, :, 3]
        if due_before(self.next_open, self.manifest) == self.next_open:
            names = self.manifest.signals
            signals = {name: np.array([float(row[name]) for row in rows]) for name in names}
            self._seen, self._due = self._perceived(Quotes.of(made, self._newest), signals, found), True

    def decide(
        self, account: Any, *, now: Any, max_age: str | None = None, memory: Any = None, **settings: Any
    ) -> Decision:
        """Decide at the last due close that was pushed; arguments as those of `Bundle.decide`."""
        read = read_settings(**settings)
        return self._conclude(self.perceive(now, max_age), account, given_memory(memory), read)

    def perceive(self, now: Any, max_age: str | None = None) -> Perception:
        """What `Bundle.perceive` gives for the bars so far."""
        about, time = self.manifest, None
        try:
            moment = read_moment(now)
            if not self._due:
                raise BundleError(
                    "no decision was due since the stream began; push the bars up to the next one.", "stale"
                )
            if moment is not None:
                time = due_before(moment, about)
                self._check_fresh(moment, max_age)
        except BundleError as error:
            return Perception(None, None, time, (), (Refusal(error.code, str(error)),))
        seen = self._seen
        if seen.quotes is None or seen.time == self.next_open:
            return seen
        later = [later_note(about, seen.quotes.time)]
        quotes = replace(seen.quotes, newest=self._newest)
        return replace(seen, quotes=quotes, notes=(*later, *seen.notes))

    def _check_fresh(self, moment: np.datetime64, max_age: str | None) -> None:
        about = self.manifest
        if max_age is None and self.next_open <= moment < self.next_open + about.bar:
            return  # the bar that closed last before the moment is there
        newest = dict.fromkeys(about.symbols, self.next_open - about.bar)
        check_fresh(newest, about.bar, self._interval, moment, max_age)

    def _perceived(
        self, quotes: Quotes, signals: Mapping[str, np.ndarray], rows: Sequence[np.ndarray]
    ) -> Perception:
        about, policy = self.manifest, self._policy
        parts = [rows[0]] if about.features else []
        own = rows[1:] if about.features else rows
        try:
            parts += [
                policy.forecast(spec, inputs)[:, None]
                for spec, inputs in zip(about.forecasts, own, strict=True)
            ]
            parts += [values[:, None] for values in about.bounded(signals).values()]
            columns = np.concatenate(parts, axis=1)[:, self._order]
            check_finite(columns, about, quotes.time)
        except BundleError as error:
            return Perception(None, None, quotes.time, (), (Refusal(error.code, str(error)),))
        return Perception(quotes, columns, quotes.time, self._notes)

    def _checked(self, symbol: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """The bar of a contract: its names, its moment and its numbers."""
        about = self.manifest
        row = given.get(symbol, given) if len(about.symbols) > 1 else given
        if not isinstance(row, Mapping):
            raise BundleError(
                f"bar of {symbol} is {str(row)[:60]!r}; give an object with open_time, open, ..."
            )
        needed, known = self._needed, self._known
        if not row.keys() <= known.keys():
            check_names(f"bar of {symbol}: no field", row, known, BundleError)
        missing = [name for name in needed if row.get(name) is None]
        if missing:
            raise BundleError(f"bar of {symbol}: no {', '.join(missing)}; give {', '.join(needed)}.")
        self._check_time(row["open_time"], symbol)
        try:
            return {name: float(row[name]) for name in row if name not in ("open_time", "contract", "source")}
        except (TypeError, ValueError):
            raise BundleError(f"bar of {symbol}: a value is no number: {str(dict(row))[:120]}.") from None

    def _has(self, series: str) -> bool:
        """Whether the look-back had prices of its own: marks that stand in for traded prices are none."""
        if series == "mark":
            return self._has_marks
        return getattr(self._market, series) is not None

    def _check_time(self, given: Any, symbol: str) -> None:
        expected = str(self.next_open)
        if isinstance(given, str) and given.replace(" ", "T") in (expected[:16], expected[:19], expected):
            return
        try:
            opened = stamp(given, "open_time")
        except ValueError as error:
            raise BundleError(f"bar of {symbol}: {error}") from error
        if opened != self.next_open:
            code = "gap" if opened > self.next_open else "clock"
            raise BundleError(
                f"bar of {symbol}: it opens at {opened} UTC, the next one at {self.next_open}; give every bar once, in "
                "order.",
                code,
            )

    def _settled(self, funding: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Settlements of the bar; a missing one is refused where features read them."""
        about, symbols = self.manifest, self.manifest.symbols
        end, parts = self.next_open + about.bar, []
        if not funding:
            self._check_settled(_NO_SETTLEMENTS, end)
            return _NO_SETTLEMENTS
        for one in funding:
            try:
                time = whole_minutes(np.array([stamp(one["time"], "time")]))[0]
                rate, mark = float(one["rate"]), float(one.get("mark", np.nan))
                j = symbols.index(one.get("contract", symbols[0]))
            except (KeyError, TypeError, ValueError) as error:
                raise BundleError(
                    f"funding: {str(dict(one))[:80]} is no settlement; give time and rate."
                ) from error
            if not self.next_open <= time < end or not abs(rate) < 1.0:
                raise BundleError(
                    f"funding: the settlement at {time} of {rate:g} is none of the bar from {self.next_open} on; give "
                    "those stamped in it, rates as fractions."
                )
            parts.append(settlement_array(time, j, rate, mark))
        cash = sorted_settlements(parts)
        self._check_settled(cash, end)
        return cash

    def _check_settled(self, cash: np.ndarray, end: np.datetime64) -> None:
        if self._last_settled is None or not self._last_settled.size:
            return
        interval = self.manifest.venue.funding_interval
        known = self._last_settled
        if cash.size:
            known = np.unique(np.concatenate([known, cash["time"]]))
        if known[-1] + interval < end or (known.size > 1 and (np.diff(known) > interval).any()):
            raise BundleError(
                f"funding: no settlement since {known[-1]}, and one is due every {interval}; give those stamped in the "
                f"bar from {self.next_open} on."
            )
        self._last_settled = known[-1:]


def _is_possible(opened: float, high: float, low: float, close: float) -> bool:
    """Whether prices can be those of a bar; `check_ohlc` says what is wrong with the others."""
    return 0.0 < low <= min(opened, close) and max(opened, close) <= high < float("inf")


def _arrays(rows: Sequence[Mapping[str, float]], market: Any) -> dict[str, np.ndarray]:
    """Arrays of one bar, checked as a market's are."""
    found: dict[str, np.ndarray] = {}
    for name, prefix in _SERIES:
        if name == "index" and market.index is None:
            continue
        own = f"{prefix}open" if f"{prefix}open" in rows[0] else "open"
        given = prefix if own != "open" else ""
        prices = [[row[f"{given}{price}"] for price in _PRICES] for row in rows]
        found[name] = np.array([prices])
        for j, symbol in enumerate(market.symbols):
            if _is_possible(*prices[j]):
                continue
            try:
                check_ohlc(found[name][:, j], market.open_time, f"bar of {symbol}, {name}")
            except ValueError as error:
                raise BundleError(str(error)) from error
    found["volume"] = np.array([[row["volume"] for row in rows]])
    if not all(0.0 <= row["volume"] < float("inf") for row in rows):
        raise BundleError(f"bar: volume is {found['volume'].min():g}; it must be zero or positive.")
    found["tradable"] = np.ones_like(found["volume"], bool)
    for name in _PUBLISHED:
        if getattr(market, name) is not None:
            found[name] = np.array([[row[name] for row in rows]])
    return found
