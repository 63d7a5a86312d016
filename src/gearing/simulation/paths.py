"""Checks of the markets and feature tables of a simulation."""

from collections.abc import Sequence

import numpy as np

from gearing.contracts import Contract
from gearing.features import FeatureSet, FeatureTable, parse_duration
from gearing.market.data import MarketData
from gearing.market.timing import label
from gearing.names import shown
from gearing.simulation.config import SimulationConfig
from gearing.simulation.observation import ObservationLayout


def comparable_contracts(markets: list[MarketData]) -> tuple[Contract, ...]:
    """Contracts of the first market, if all markets can be paths of one simulation."""
    if not markets:
        raise ValueError("a simulation needs at least one market.")
    first = markets[0]
    for market in markets[1:]:
        if market.bar != first.bar or market.venue != first.venue:
            raise ValueError(
                f"all markets of a simulation have the same bar and venue: {label(first.bar)} on {first.venue} and "
                f"{label(market.bar)} on {market.venue} do not. Use one simulation each."
            )
        if market.symbols != first.symbols and (market.n_contracts, first.n_contracts) != (1, 1):
            raise ValueError(
                f"several markets hold the same contracts, or one contract each: {first.symbols} and "
                f"{market.symbols} do not. Cut them with select(), or use one simulation each."
            )
    settle = {(c.kind, c.settle) for market in markets for c in market.contracts}
    if len(settle) > 1:
        raise ValueError(f"one account settles in one coin; the contracts have {sorted(settle)}.")
    return first.contracts


def path_tables(
    markets: list[MarketData], tables: FeatureTable | Sequence[FeatureTable] | None
) -> list[FeatureTable]:
    if tables is None:
        return FeatureSet.default().compute_all(markets)
    given = [tables] if isinstance(tables, FeatureTable) else list(tables)
    for table in given:
        if not isinstance(table, FeatureTable):
            raise TypeError(
                f"a feature table is {shown(table)}; give FeatureSet([...]).compute(market), one for each market."
            )
    if len(given) != len(markets):
        raise ValueError(
            f"{len(given)} feature tables were given for {len(markets)} market(s); give one for each, such as "
            "FeatureSet(names).compute(market), or none at all for the default features."
        )
    for market, table in zip(markets, given, strict=True):
        same = market.open_time is table.open_time or np.array_equal(market.open_time, table.open_time)
        if not same or table.symbols != market.symbols or not table.computed_on(market.close):
            raise ValueError(
                f"{table!r} does not belong to {market!r}: bars, contracts and prices must agree. Compute it on this "
                "market, or cut both with between(start, end)."
            )
        if table.columns != given[0].columns:
            raise ValueError(f"feature tables differ in columns: {given[0].columns} and {table.columns}.")
    return given


def slot_names(markets: list[MarketData], config: SimulationConfig) -> tuple[str, ...]:
    symbols = markets[0].symbols
    if any(market.symbols != symbols for market in markets):
        symbols = ("contract",)
    if config.position_mode == "one_way":
        return symbols
    return tuple(f"{symbol}:{leg}" for symbol in symbols for leg in ("long", "short"))


def check_paths(markets: list[MarketData], config: SimulationConfig, layout: ObservationLayout) -> None:
    """Refuse a leverage above what a contract allows, and a signal column that is missing or beyond [-1, 1]."""
    for contract in {c.symbol: c for m in markets for c in m.contracts}.values():
        if config.max_leverage > contract.top_leverage:
            raise ValueError(
                f"max_leverage {config.max_leverage:g} exceeds {contract.top_leverage:g}, the most that "
                f"{contract.symbol} allows; lower max_leverage."
            )
    signal = config.signal_column
    if signal is None:
        return
    if signal not in layout.columns:
        raise ValueError(
            f"direction reads the column {signal!r}; the features have {', '.join(layout.columns)}."
        )
    k = layout.columns.index(signal)
    if layout.low[k] < -1.0 or layout.high[k] > 1.0:
        raise ValueError(
            f"the signal column {signal!r} has bounds [{layout.low[k]:g}, {layout.high[k]:g}]; a "
            "direction is in [-1, 1]. Join its sign as a column of its own."
        )


def entry_signal(config: SimulationConfig, n_contracts: int) -> str | None:
    """Column whose sign opens and closes trades; None where decisions are taken at intervals."""
    if config.decision != "at_entry":
        return None
    if n_contracts > 1 or config.episode_length is not None:
        raise ValueError(
            "decision='at_entry' takes one contract and whole paths: trades, not clock time, are its steps. "
            "Leave episode_length None and give one contract."
        )
    return config.signal_column


def decisions_per_episode(
    config: SimulationConfig, interval: np.timedelta64, boundaries: Sequence[np.ndarray]
) -> int | None:
    """Decisions of an episode; None where it runs to the end of the data."""
    if config.episode_length is None:
        return None
    length = parse_duration(config.episode_length)
    if length < interval or length % interval != np.timedelta64(0, "ms"):
        raise ValueError(
            f"episode_length {config.episode_length} must be a multiple of the decision interval "
            f"{config.decision_interval}."
        )
    count = int(length // interval)
    longest = max(edges.size - 1 for edges in boundaries)
    if count > longest:
        raise ValueError(
            f"episode_length {config.episode_length} is {count} decisions; the market has {longest}."
        )
    return count
