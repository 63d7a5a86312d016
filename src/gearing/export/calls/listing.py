"""The calls of a decision at a venue."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gearing.exchange.rules import notional
from gearing.export.account.state import AccountState
from gearing.export.bundle.files import BundleError
from gearing.export.bundle.manifest import Manifest
from gearing.export.calls.binance import binance_calls
from gearing.export.calls.bybit import bybit_calls
from gearing.export.calls.call import Task
from gearing.export.calls.okx import okx_calls
from gearing.export.deciding.decision import Call, Order

VENUE_CALLS: Mapping[str, Callable[[Task], list[Call]]] = {
    "binance-usdm": binance_calls,
    "bybit": bybit_calls,
    "okx": okx_calls,
}


def check_venue(venue: str | None) -> None:
    """Refuse a venue whose calls are not known."""
    if venue is not None and venue not in VENUE_CALLS:
        raise BundleError(f"venue is {venue!r}; calls are listed for {', '.join(VENUE_CALLS)} (--venue).")


def calls_of(
    venue: str | None,
    manifest: Manifest,
    state: AccountState,
    orders: Sequence[Order],
    digest: str,
    is_fallback: bool = False,
) -> tuple[Call, ...]:
    """Calls in order: reductions of all contracts first, so that they free margin.

    Orders of a fallback have ids of their own: a decision that is taken after all at that moment is another order.
    Where the moment is not known, the positions stand for it: the same order is not filled twice, a later one is sent.
    """
    make = VENUE_CALLS.get(venue or "")
    if make is None:
        return ()
    named = f"{digest}|fallback" if is_fallback else digest
    if np.isnat(state.quotes.time):
        named += "|" + ",".join(repr(float(p.quantity)) for p in state.positions[0])
    tasks = [_task(manifest, state, order, j, named) for j, order in enumerate(orders)]
    return tuple(call for task in sorted(tasks, key=lambda one: not one.order.reduces) for call in make(task))


def _task(manifest: Manifest, state: AccountState, order: Order, j: int, digest: str) -> Task:
    position, contract = state.positions[0, j], manifest.contracts[j]
    held, isolated = float(position.quantity), manifest.config.margin_mode == "isolated"
    change = {"buy": order.quantity, "sell": -order.quantity, "none": 0.0}[order.side]
    after = held + change
    after = 0.0 if abs(after) < 1e-12 * max(abs(held), abs(change)) else after
    grows = held * change >= 0.0 and held != 0.0
    entry = float(position.entry_price) if held != 0.0 and held * after > 0.0 else order.price
    if grows and change:
        entry = (held * entry + change * order.price) / after
    return Task(
        order=order,
        contract=contract,
        isolated=isolated,
        held=held,
        setting=float(position.leverage) if held else 0.0,
        entry=entry,
        after=after,
        added_margin=_added(position, order, after, isolated, contract.kind == "inverse"),
        time=state.quotes.time,
        digest=digest,
        has_price=j not in state.quotes.unknown,
    )


def _added(position: Any, order: Order, after: float, isolated: bool, inverse: bool) -> float:
    """Margin to add after the order: what the position posts less what the venue holds for it then."""
    if not isolated or after == 0.0:
        return 0.0
    held = float(position.quantity)
    kept = float(position.margin) * min(1.0, abs(after) / abs(held)) if held * after > 0.0 else 0.0
    grown = max(0.0, abs(after) - (abs(held) if held * after > 0.0 else 0.0))
    at_venue = kept + notional(grown, order.price, inverse) / max(order.leverage_setting, 1.0)
    return float(order.margin) - float(at_venue)
