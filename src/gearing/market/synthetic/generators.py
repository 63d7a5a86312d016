"""Synthetic markets by name."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import signature
from typing import Any

import numpy as np

from gearing.market.data import MarketData
from gearing.market.resampling import resample
from gearing.names import Register, check_names

START = np.datetime64("2020-01-01", "ms")  # a Wednesday; where every synthetic history begins

Generator = Callable[..., MarketData]
GENERATORS: Register[Generator] = Register(
    "synthetic market",
    "gearing.markets",
    [f"{__package__}.{module}" for module in ("market_a", "market_b", "bootstrap", "crashes", "books")],
)


def synthetic_market(
    kind: str = "market-b",
    seed: int = 0,
    years: float | None = None,
    contracts: Sequence[str] | str | None = None,
    bar: Any = None,
    **variant: Any,
) -> MarketData:
    """Generate a market with known parameters.

    Parameters
    ----------
    kind : str
        "market-a", "market-b" (evaluation protocol, section 8), "bootstrap", "book-merton" and the other synthetic
        books (:mod:`gearing.market.synthetic.books`), or a registered name.
    seed : int
        Equal seeds give equal markets, whatever else is generated.
    years : float, optional
        Length, of 365 days each; the generator's own default (6, a crash 60 days) by default.
    contracts : str or sequence of str, optional
        Symbols; several move together. Default: one contract.
    bar : str or timedelta, optional
        Longer bars than the generator's own; its own bars become the path inside.
    **variant
        The generator's settings, see its module.

    Returns
    -------
    MarketData
        With ``truth``: hidden state known to the generator at the open of each bar.
    """
    generate = GENERATORS[kind]
    if years is not None and not years > 0.0:
        raise ValueError(f"years {years} must be positive.")
    names = (contracts,) if isinstance(contracts, str) else contracts
    given = {"years": years, "contracts": None if names is None else tuple(names)}
    market = generate(seed=seed, **{k: v for k, v in given.items() if v is not None}, **variant)
    return market if bar is None else resample(market, bar)


def register_market(name: str, generate: Generator) -> None:
    """Register a generator by name; it takes seed, years and its own keywords and returns a MarketData."""
    GENERATORS.add(name, generate)


def market_names() -> tuple[str, ...]:
    """Names that ``synthetic_market`` knows."""
    return GENERATORS.names()


def check_settings(kind: str, settings: Mapping[str, Any], others: Iterable[str] = ()) -> None:
    """Refuse an unknown generator, or settings that it does not have.

    Parameters
    ----------
    kind : str
    settings : mapping
        What ``synthetic_market`` takes as ``**variant``.
    others : iterable of str
        Names that a misspelt setting may have meant as well.

    Raises
    ------
    ValueError
        Naming the nearest.
    """
    generate = GENERATORS[kind]
    arguments = signature(generate).parameters
    settings_of = getattr(sys.modules[generate.__module__], "settings_of", None)
    takes_any = any(one.kind is one.VAR_KEYWORD for one in arguments.values())
    if settings_of is not None or not takes_any:
        own = settings_of(settings) if settings_of is not None else ()
        check_names("no field", settings, [*arguments, *own, *others])


def streams(seed: int, count: int) -> list[np.random.Generator]:
    """Independent random streams: a common one, then one per contract."""
    return [np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(k,))) for k in range(count + 1)]
