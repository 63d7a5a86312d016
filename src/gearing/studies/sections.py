"""What an experiment is made of: one strict section for each part of its YAML file.

Every default is written here or in `gearing.simulation.SimulationConfig`, and printed back with the
experiment.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from gearing.contracts import venue, venue_names
from gearing.market import MarketData, load_market, synthetic_market
from gearing.market.history.layout import PROFILES, contract_names, profile
from gearing.market.history.load import ALL
from gearing.market.synthetic.generators import check_settings
from gearing.names import check_names
from gearing.simulation.config import SimulationConfig
from gearing.studies.fields import (
    Direction,
    Duration,
    Moment,
    Named,
    Rebalance,
    Section,
    Share,
    Venue,
    as_time,
)

_DEFAULT = SimulationConfig()
MOST_YEARS = 10_000.0  # of a generated market: hourly, 88 million bars
MOST_SEEDS = 10_000  # of an agent, and paths of a market: every one is a trial or a market of its own


class Generator(Named):
    """A generated market: ``{generator: market-a, variant: merton}``, or only its name.

    Attributes
    ----------
    generator, settings
        See `gearing.synthetic_market`.
    """

    named_by = "generator"

    generator: str = "market-b"

    def check(self) -> None:
        """Refuse an unknown generator or setting of it."""
        check_settings(self.generator, self.settings, self.field_names())


class Market(Generator):
    """Which market: history where a folder is given, otherwise a generated one.

    Attributes
    ----------
    folder : str, optional
        Data folder in the layout of ``data/README.md``. ``${oc.env:GEARING_DATA,data}`` reads the
        environment.
    contracts : list of str, optional
        Default: BTCUSDT of history, or the generator's own. ``[all]`` is every contract of the folder, from the first
        bar of any to the last; each can be traded while it has bars.
    from, to : moment, optional
        ``to`` is the first moment left out. Without both, the longest complete span is taken and printed.
    generator, seed, years, settings
        The generated market, see `gearing.synthetic_market`.
    """

    folder: str | None = None
    venue: str = "binance-um"
    contracts: list[str] | None = Field(default=None, min_length=1)
    bar: Duration = "1h"
    from_: Moment | None = Field(default=None, alias="from")
    to: Moment | None = None
    missing_mark: Literal["error", "last"] = "error"
    missing_funding: Literal["error", "zero", "median"] = "error"
    missing_tiers: Literal["error", "earliest"] = "error"
    finer: Duration | None = None
    seed: int = Field(default=0, ge=0)
    years: float = Field(default=6.0, gt=0.0, le=MOST_YEARS)

    @model_validator(mode="after")
    def _runs_forward(self) -> Market:
        if self.from_ and self.to and as_time(self.from_) >= as_time(self.to):
            raise ValueError(f"from {self.from_} is not before to {self.to}.")
        return self

    def check(self) -> None:
        """Refuse an unknown venue, generator or setting of it."""
        check_names("no venue", [self.venue], [*PROFILES, *venue_names()])
        super().check()

    @property
    def is_history(self) -> bool:
        """Whether real bars are read."""
        return self.folder is not None

    @property
    def symbols(self) -> list[str]:
        """Contracts of real history, by symbol."""
        if self.contracts == [ALL]:
            return list(contract_names(self.folder, self.venue))
        return self.contracts or ["BTCUSDT"]

    def each(self, symbols: Iterable[str] | None = None) -> dict[str, MarketData]:
        """Markets of one contract each: history over its own span; by default, of the market's own contracts."""
        names = self.contracts if symbols is None else list(symbols)
        if names == [ALL] and self.is_history:
            names = self.symbols
        if not self.is_history:
            market = self.model_copy(update={"contracts": names}).open()
            return {symbol: market.select([symbol]) for symbol in market.symbols}
        return {name: self.model_copy(update={"contracts": [name]}).open() for name in names or self.symbols}

    def open(self) -> MarketData:
        """Read or generate the market."""
        if self.is_history:
            alike = {"folder", "bar", "venue", "missing_mark", "missing_funding", "missing_tiers", "finer"}
            options = self.model_dump(include=alike)
            symbols = self.contracts if self.contracts == [ALL] else self.symbols
            return load_market(symbols=symbols, start=self.from_, end=self.to, **options)
        market = synthetic_market(
            self.generator, self.seed, self.years, self.contracts, self.bar, **self.settings
        )
        return market.between(self.from_, self.to) if self.from_ or self.to else market


class Decision(Section):
    """What is decided, how often, with how much of the equity; see `SimulationConfig` for each setting."""

    interval: Duration = _DEFAULT.decision_interval
    mode: Literal["interval", "at_entry"] = "interval"
    direction: Direction = _DEFAULT.direction
    max_leverage: float = Field(default=_DEFAULT.max_leverage, gt=0.0)
    margin_mode: Literal["isolated", "cross"] = "isolated"
    margin_share: Share | list[Share] = 1.0
    initial_equity: float = Field(default=_DEFAULT.initial_equity, gt=0.0)
    rebalance: Rebalance = _DEFAULT.rebalance
    sizing: Literal["equity", "free_balance"] = "equity"
    position_mode: Literal["one_way", "hedge"] = "one_way"
    ruin_fraction: float = Field(default=_DEFAULT.ruin_fraction, ge=0.0, lt=1.0)


class Slippage(Section):
    """How much worse than the open an order fills; see `gearing.Slippage`."""

    constant: float = Field(default=_DEFAULT.slippage.constant, ge=0.0)
    range_share: float = Field(default=0.0, ge=0.0)
    impact: float = Field(default=0.0, ge=0.0)


class Exchange(Section):
    """Whose rules and costs hold; see `SimulationConfig` for each setting."""

    venue: Venue | None = None
    fee_level: str | None = None
    order: Literal["taker", "maker"] = "taker"
    slippage: Slippage = Slippage()
    walk: Literal["extremes", "close"] = "extremes"
    liquidation_series: Literal["mark", "last"] = "mark"
    liquidation: Literal["full", "tier_step_down", "two_tiers_down", "fifth_first"] = "full"
    cross_liquidation: Literal["all_at_once", "largest_loss_first"] = "all_at_once"
    settlement: Literal["bankruptcy", "fee_then_return", "venue"] = "bankruptcy"
    deleveraging_move: float | None = Field(default=None, gt=0.0)
    profit_is_free: bool = False

    @property
    def settings(self) -> dict[str, Any]:
        """The same as `SimulationConfig` takes it."""
        return self.model_dump() | {"slippage": type(_DEFAULT.slippage)(**self.slippage.model_dump())}

    @model_validator(mode="after")
    def _fee_level_exists(self) -> Self:
        if self.fee_level is not None:
            profiles = [venue(name) for name in ([self.venue] if self.venue else venue_names())]
            levels = dict.fromkeys(level for profile in profiles for level, _, _ in profile.fee_levels)
            check_names("no fee level", [self.fee_level], levels)
        return self


def check_fee_level(market: Market, exchange: Exchange) -> None:
    """Refuse a fee level that the venue of the market does not have, where the experiment names no other venue.

    Raises
    ------
    ValueError
        Naming the levels that there are.
    """
    if exchange.fee_level is not None and exchange.venue is None:
        rules = profile(market.venue) if market.is_history else venue(MarketData.venue)
        try:
            rules.fees(exchange.fee_level)
        except ValueError as error:
            raise ValueError(f"exchange.fee_level: {error}") from None


class Statistics(Section):
    """How results are compared."""

    baseline: str | None = None
    mean_block: float = Field(default=20.0, ge=1.0)  # days
    replications: int = Field(default=2000, ge=100)
    level: float = Field(default=0.95, gt=0.5, lt=1.0)


def account_settings(decision: Decision, exchange: Exchange) -> dict[str, Any]:
    """Settings of the simulated account by name, as `gearing.backtest` and the environments take them."""
    settings = decision.model_dump(exclude={"interval", "mode"}) | exchange.settings
    return settings | {"decision_interval": decision.interval, "decision": decision.mode}
