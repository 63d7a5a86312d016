"""Feeds of a paper run: files, a data folder, or a venue's public data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gearing.export import Bundle
from gearing.live.paper.bars import Feed, from_files, from_market
from gearing.live.paper.markets import warm_up
from gearing.market.history import layout
from gearing.market.history.load import load_market
from gearing.market.timing import DAY, label

EXCHANGES = {"binance-usdm": "binanceusdm", "bybit": "bybit", "okx": "okx"}  # of ccxt
_MORE = 1_200  # bars before the look-back, which show how large a jump is
_KINDS = ("last", "mark", "funding")


def file_feed(bundle: Bundle, bars: Path, funding: Path | None = None) -> Feed:
    """Recorded bars of files, as ``gearing decide`` reads them."""
    return Feed(lambda: from_files(bars, funding, bundle.manifest.symbols))


def folder_feed(
    bundle: Bundle, folder: Path | None, start: np.datetime64 | None = None, end: np.datetime64 | None = None
) -> Feed:
    """The history of a data folder.

    Parameters
    ----------
    start : datetime64[ms], optional
        The first decision; the look-back before it is read, too.
    """
    first = None if start is None else start - _history(bundle)

    def read() -> Any:
        about = bundle.manifest
        market = load_market(
            folder, about.symbols, about.bar, layout.venue_folder(about.venue.name), first, end,
            missing_mark="last", missing_tiers="earliest",
        )  # fmt: skip
        return from_market(market)

    return Feed(read)


def live_feed(
    bundle: Bundle,
    folder: Path,
    now: Callable[[], np.datetime64],
    exchange: Any = None,
    tell: Callable[[str], None] = lambda text: None,
) -> Feed:
    """Public bars, mark prices and settlements of the bundle's venue, through ccxt, in a data folder.

    Parameters
    ----------
    folder : Path
        Only what it lacks is requested.
    now : callable
        The present moment.
    exchange : ccxt exchange, optional
        Instead of the venue's own.
    tell : callable
        Called with what the exchange lacks.

    Raises
    ------
    ValueError
        For a venue that ccxt is not used for here.
    ImportError
        Without ccxt.
    """
    about = bundle.manifest
    if about.venue.name not in EXCHANGES:
        raise ValueError(
            f"live bars of {about.venue.name} are not read; the venues are {', '.join(EXCHANGES)}. Record bars, and "
            "give them with --bars."
        )
    chosen = EXCHANGES[about.venue.name] if exchange is None else exchange
    venue = layout.venue_folder(about.venue.name)
    begins = now() - _history(bundle) - 2 * DAY

    def read() -> Any:
        from gearing.market.sources.exchanges import fetch_ccxt

        for symbol in about.symbols:
            for kind in _KINDS:
                fetch_ccxt(
                    chosen, ccxt_symbol(symbol), folder, begins, now(), label(about.bar), kind, tell=tell
                )
        market = load_market(
            folder, about.symbols, about.bar, venue, missing_funding="error", missing_tiers="earliest"
        )
        return from_market(market)

    return Feed(read, grows=True)


def ccxt_symbol(symbol: str) -> str:
    """A linear contract as ccxt writes it: BTCUSDT is BTC/USDT:USDT.

    Raises
    ------
    ValueError
        For a contract that does not settle in USDT or USDC.
    """
    for coin in ("USDT", "USDC"):
        base = symbol.removesuffix(coin)
        if base and base != symbol:
            return f"{base}/{coin}:{coin}"
    raise ValueError(
        f"{symbol} settles neither in USDT nor in USDC; live bars are read of such contracts only."
    )


def _history(bundle: Bundle) -> np.timedelta64:
    """Time before a decision that is read."""
    about = bundle.manifest
    least = warm_up(about.bar, about.config.slippage.impact > 0.0)
    found: np.timedelta64 = max((bundle.lookback_bars + _MORE) * about.bar, least)
    return found
