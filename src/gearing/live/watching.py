"""Watch an account: how far it is from liquidation, what is about to be paid, what is used up, what is old.

Light, as decisions are: numpy only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gearing.exchange.rules import unit_value
from gearing.export.account.distance import liquidation_distance
from gearing.export.account.reading import read_account
from gearing.export.account.solvency import NEAR, check_solvent, margins
from gearing.export.account.state import AccountState
from gearing.export.deciding.perception import Perception
from gearing.export.live.journal import read_journal
from gearing.export.live.limits import Limits, Tally
from gearing.export.live.session import LOG
from gearing.export.reading.moment import read_moment
from gearing.export.reading.table import Table, as_numbers, moments, read_given, with_contract
from gearing.export.runtime import Bundle, BundleError

OK, WARNING, CRITICAL = "ok", "warning", "critical"
EXIT_CODES = {OK: 0, WARNING: 1, CRITICAL: 4}
USED = 0.8  # of a limit, from which it is a warning
_DAY = np.timedelta64(86_400_000, "ms")
_DAYS_A_YEAR = 365.0
_WEEK = 7
_PAID_WITHIN = np.timedelta64(3_600_000, "ms")


@dataclass(frozen=True)
class Thresholds:
    """From where on something is a warning.

    Attributes
    ----------
    deviations : float
        Distance to liquidation, in standard deviations of a day; critical below a third of it.
    probability : float
        Of reaching liquidation within a day; critical from ten times it.
    funding : float
        Share of equity that is due at the next settlement, if that is less than an hour away.
    """

    deviations: float = 3.0
    probability: float = 0.01
    funding: float = 0.0005


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    what : str
        ``liquidation``, ``funding``, ``budget``, ``data`` or ``session``.
    level : {"ok", "warning", "critical"}
    text : str
    values : mapping
    """

    what: str
    level: str
    text: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Watch:
    """What a look at an account found.

    Attributes
    ----------
    time : datetime64[ms]
        The moment of the look.
    findings : tuple of Finding
    """

    time: np.datetime64
    findings: tuple[Finding, ...]

    @property
    def level(self) -> str:
        """The worst."""
        return max((one.level for one in self.findings), key=list(EXIT_CODES).index)

    @property
    def exit_code(self) -> int:
        """0 nothing to warn of, 1 a warning, 4 critical."""
        return EXIT_CODES[self.level]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "time": f"{self.time}Z",
            "level": self.level,
            "findings": [{**vars(one), "values": dict(one.values)} for one in self.findings],
        }

    def __str__(self) -> str:
        return "\n".join(f"{one.level:<10}{one.what:<13}{one.text}" for one in self.findings)


def watch(
    bundle: Bundle,
    account: Any,
    bars: Any,
    funding: Any = None,
    *,
    now: Any,
    max_age: str | None = None,
    limits: Limits | None = None,
    session: str | Path | None = None,
    thresholds: Thresholds = Thresholds(),
) -> Watch:
    """Look at an account.

    Parameters
    ----------
    bundle : Bundle
    account : mapping or path
        As the venue returns it, or as a decision reads it.
    bars, funding : as of a decision
    now : datetime
    max_age : str, optional
        Longest age of the newest bar; default "1bar".
    limits : Limits, optional
        Default: those of the session.
    session : path, optional
        Folder of the session's log, for its state, its limits and what of them is used.
    thresholds : Thresholds

    Raises
    ------
    BundleError
        If the account cannot be read: unknown is not flat.
    """
    moment = read_moment(now)
    if moment is None:
        raise BundleError("watch looks at the present: give the moment (--now 2024-07-01T08:00).", "now")
    values = bundle.account_of(account)
    seen = bundle.perceive(bars, funding, now=moment, max_age=max_age)
    data = _data(seen)
    if seen.quotes is None:
        seen = bundle.perceive(bars, funding, now="last-bar", max_jump="off")
    quotes = bundle.decider.quotes_of(seen, values)
    quotes = replace(quotes, mark=quotes.newest)  # what the account is worth now, not at the last decision
    state = read_account(values, bundle.decider.terms, quotes)
    volatility = daily_volatility(bundle, seen, bars)
    log = _Log.read(session)
    findings = [
        data,
        _liquidation(state, volatility, thresholds),
        _funding(state, bundle, bars, funding, moment, thresholds),
        *_budget(state, values, log, limits),
        *log.findings(),
    ]
    return Watch(moment, tuple(findings))


def _data(seen: Perception) -> Finding:
    """Whether a decision could be made of the bars."""
    if not seen.refusals:
        return Finding("data", OK, "the bars reach the present", {"refusals": []})
    text = "; ".join(one.reason for one in seen.refusals)
    codes = [one.code for one in seen.refusals]
    return Finding("data", CRITICAL if "stale" in codes else WARNING, text, {"refusals": codes})


def daily_volatility(bundle: Bundle, seen: Perception, bars: Any) -> np.ndarray:
    """Standard deviation of a day's log return (n_contracts,): the bundle's forecast, else that of a week of bars.

    NaN where neither is known.
    """
    about = bundle.manifest
    for spec in about.forecasts:
        if seen.columns is not None and spec.column in about.columns:
            yearly = np.asarray(seen.columns[:, about.columns.index(spec.column)], np.float64)
            return np.asarray(yearly / math.sqrt(_DAYS_A_YEAR))
    table = with_contract(read_given(bars, "bars", "open_time"), about.symbols, "bars")
    per_day = float(_DAY / about.bar)
    return np.array([_deviation(table, symbol, per_day) for symbol in about.symbols])


def _deviation(table: Table, symbol: str, per_day: float) -> float:
    rows = np.flatnonzero(np.asarray(table["contract"]) == symbol)
    part = as_numbers(
        Table({name: np.asarray(table[name], object)[rows] for name in ("open_time", "close")}),
        "bars",
        ("open_time",),
    )
    order = np.argsort(moments(part["open_time"], "bars: open_time"))
    closes = np.asarray(part["close"], np.float64)[order][-int(_WEEK * per_day) - 1 :]
    if closes.size < 3 or not (closes > 0.0).all():
        return math.nan
    return float(np.diff(np.log(closes)).std() * math.sqrt(per_day))


def touch_probability(distance: float, deviation: float, long: bool) -> float:
    """Probability that a price reaches a distance within a day.

    Reflection principle: a price without drift, of this standard deviation of a day's log return, touches a level with
    twice the probability of ending beyond it. Returns of coins have fatter tails, so near liquidation it is more.

    Parameters
    ----------
    distance : float
        Adverse move [fraction].
    deviation : float
    long : bool
        Whether the adverse move is downwards.
    """
    k = log_distance(distance, long) / deviation if deviation > 0.0 else math.inf
    return math.erfc(k / math.sqrt(2.0))


def log_distance(distance: float, long: bool) -> float:
    """Adverse move as a difference of log prices."""
    if long:
        return -math.log1p(-distance) if distance < 1.0 else math.inf
    return math.log1p(distance)


def _liquidation(state: AccountState, volatility: np.ndarray, limits: Thresholds) -> Finding:
    held = np.array([float(p.quantity) for p in state.positions[0]])
    marks = np.array([float(p.mark) for p in state.positions[0]])
    if not held.any():
        return Finding("liquidation", OK, "no position is open", {"distance": None})
    try:
        check_solvent(state, marks)
    except BundleError as error:
        return Finding("liquidation", CRITICAL, str(error), {"distance": 0.0})
    _, needed, balance = margins(state, marks)
    ratio = (
        float(max(n / b for n, b in zip(needed, balance, strict=True) if n > 0.0)) if needed.any() else 0.0
    )
    distance = liquidation_distance(state)
    values: dict[str, Any] = {
        "distance": distance,
        "margin_ratio": ratio,
        "leverage": state.effective_leverage(),
    }
    if distance is None:
        return Finding("liquidation", OK, f"no move liquidates; margin ratio {ratio:.1%}", values)
    deviation = (
        float(np.nanmax(np.where(held != 0.0, volatility, np.nan)))
        if not np.isnan(volatility).all()
        else math.nan
    )
    is_long = bool((held > 0.0).any())
    k = log_distance(distance, is_long) / deviation
    probability = touch_probability(distance, deviation, is_long)
    values |= {"deviations": k, "probability_within_a_day": probability, "daily_volatility": deviation}
    level = OK
    if not k >= limits.deviations or not probability <= limits.probability or ratio >= NEAR:
        level = WARNING
    if k < limits.deviations / 3.0 or probability >= 10.0 * limits.probability or ratio >= NEAR:
        level = CRITICAL
    text = (
        f"{distance:.2%} away, {k:.1f} deviations of a day ({deviation:.2%}), reached within a day with probability "
        f"{probability:.2g}; margin ratio {ratio:.1%}"
    )
    return Finding("liquidation", level, text, values)


def _funding(
    state: AccountState, bundle: Bundle, bars: Any, funding: Any, now: np.datetime64, limits: Thresholds
) -> Finding:
    """The next settlement, at the rate that is predicted, else at the last one."""
    interval = bundle.manifest.venue.funding_interval
    due = now + interval - (now - np.datetime64(0, "ms")) % interval
    rates = _rates(bundle, bars, funding)
    held = [float(p.quantity) for p in state.positions[0]]
    values: dict[str, Any] = {"due": f"{due}Z", "rates": rates}
    if not any(held):
        return Finding("funding", OK, f"no position is open; next settlement {due} UTC", values)
    if rates is None:
        return Finding("funding", OK, f"next settlement {due} UTC; no rate was given (--funding)", values)
    paid = sum(
        quantity * float(unit_value(p.mark, c.inverse)) * rates[name]
        for name, quantity, p, c in zip(state.names, held, state.positions[0], state.contracts, strict=True)
    )
    share = paid / state.equity
    values |= {"payment": paid, "share_of_equity": share}
    soon = due - now <= _PAID_WITHIN
    level = WARNING if soon and share >= limits.funding else OK
    verb = "pays" if paid > 0.0 else "receives"
    return Finding(
        "funding", level, f"{verb} {abs(paid):,.2f} ({abs(share):.3%} of equity) at {due} UTC", values
    )


def _rates(bundle: Bundle, bars: Any, funding: Any) -> dict[str, float] | None:
    """Rate of each contract's next settlement; None where one is unknown."""
    symbols, found = bundle.manifest.symbols, dict[str, float]()
    for given, clock, column in ((bars, "open_time", "predicted_rate"), (funding, "time", "rate")):
        if given is None:
            continue
        table = with_contract(
            read_given(given, "funding" if clock == "time" else "bars", clock), symbols, "funding"
        )
        if column not in table or not len(table):
            continue
        time = moments(table[clock], f"funding: {clock}")
        rates = np.asarray(as_numbers(Table({column: table[column]}), "funding", ())[column], np.float64)
        names = np.asarray(table["contract"], object)
        for symbol in symbols:
            rows = np.flatnonzero((names == symbol) & np.isfinite(rates))
            if rows.size and symbol not in found:
                found[symbol] = float(rates[rows[np.argmax(time[rows])]])
    return found if len(found) == len(symbols) else None


def _budget(state: AccountState, values: Mapping[str, Any], log: _Log, given: Limits | None) -> list[Finding]:
    """What of each limit is used."""
    limits = log.limits if given is None else given
    peak = max(float(values.get("peak_equity") or 0.0), log.tally.peak, state.equity)
    day = log.tally.day_equity if log.tally.day_equity > 0.0 else state.equity
    notionals = np.abs(state.leverage) * state.equity
    parts = {
        "leverage": float(np.abs(state.leverage).sum()),
        "notional": float(notionals.max()),
        "drawdown": 1.0 - state.equity / peak,
        "daily_loss": 1.0 - state.equity / day,
        "orders_per_day": float(log.tally.orders),
        "turnover_per_day": log.tally.turnover / day,
        "refusals": float(log.tally.refusals),
    }
    found = []
    for name, value in parts.items():
        limit = float(getattr(limits, name))
        if math.isinf(limit):
            continue
        used = value / limit
        level = CRITICAL if used >= 1.0 else WARNING if used >= USED else OK
        text = f"{name} {value:.4g} of {limit:g}: {used:.0%} used"
        found.append(
            Finding("budget", level, text, {"limit": name, "value": value, "most": limit, "used": used})
        )
    return found


@dataclass(frozen=True)
class _Log:
    """What a session's log says; empty without one."""

    limits: Limits
    tally: Tally
    decided: bool = False

    @classmethod
    def read(cls, session: str | Path | None) -> _Log:
        if session is None:
            return cls(Limits(), Tally())
        path = Path(session) / LOG if Path(session).is_dir() else Path(session)
        records = read_journal(path)
        limits, tally = Limits(), Tally()
        for record in records:
            limits = Limits.read(record["limits"]) if record["kind"] == "begin" else limits
            tally = Tally(**record["tally"]) if "tally" in record else tally
        return cls(limits, tally, True)

    def findings(self) -> list[Finding]:
        """The state of the session."""
        if not self.decided:
            return []
        state, reason = self.tally.state, self.tally.reason
        level = {"ACTIVE": OK, "REDUCING": WARNING}.get(state, CRITICAL)
        text = f"{state}: {reason}" if reason else state
        return [Finding("session", level, text, {"state": state, "reason": reason})]
