"""What an experiment is made of: one strict section for each part of its YAML file.

Every default is written here or in `gearing.simulation.SimulationConfig`, and printed back with the
experiment.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from gearing.market.durations import parse_duration
from gearing.policies.registry import make_control, make_rule
from gearing.simulation.config import SimulationConfig
from gearing.simulation.rewards import make_reward

if TYPE_CHECKING:
    from gearing.market import MarketData

_DEFAULT = SimulationConfig()


class Section(BaseModel):
    """A part of an experiment file: unknown keys and values of another type are refused; it never changes."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, validate_default=True, populate_by_name=True
    )


def _duration(text: str) -> str:
    if parse_duration(text) <= np.timedelta64(0):
        raise ValueError(f"{text!r} is no time at all; write for example '24h'.")
    return text


def _moment(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is not a date; write it like 2024-01-31 or 2024-01-31T08:00, in UTC."
        ) from None
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return moment.isoformat(timespec="minutes").removesuffix("T00:00")


Duration = Annotated[str, AfterValidator(_duration)]
Moment = Annotated[str, AfterValidator(_moment)]


def as_time(moment: str) -> np.datetime64:
    """A moment of an experiment file as a UTC time."""
    return np.datetime64(moment, "ms")


Share = Annotated[float, Field(gt=0.0, le=1.0)]


def _known_reward(name: str) -> str:
    make_reward(name)
    return name


def _by_name(given: Any) -> Any:
    """A plain list of rules means those rules with their defaults."""
    if isinstance(given, list) and all(isinstance(name, str) for name in given):
        return {name: {"rule": name} for name in given}
    return given


def _known_control(given: Any) -> Any:
    """A control's name alone means that control with its defaults."""
    described = {"control": given} if isinstance(given, str) else given
    if isinstance(described, dict):
        make_control(described)
    return described


# {control: stop_loss, margin: 0.3}, or only its name.
Control = Annotated[dict[str, Any], BeforeValidator(_known_control)]


class Market(Section):
    """Which market: history where a folder is given, otherwise a generated one.

    Attributes
    ----------
    folder : str, optional
        Data folder in the layout of ``data/README.md``. ``${oc.env:GEARING_DATA,data}`` reads the
        environment.
    contracts : list of str, optional
        Default: BTCUSDT of history, or the generator's own.
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
    missing_funding: Literal["error", "zero"] = "error"
    missing_tiers: Literal["error", "earliest"] = "error"
    finer: Duration | None = None
    generator: str = "market-b"
    seed: int = Field(default=0, ge=0)
    years: float = Field(default=6.0, gt=0.0)
    settings: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _runs_forward(self) -> Market:
        if self.from_ and self.to and as_time(self.from_) >= as_time(self.to):
            raise ValueError(f"from {self.from_} is not before to {self.to}.")
        return self

    @property
    def is_history(self) -> bool:
        """Whether real bars are read."""
        return self.folder is not None

    @property
    def symbols(self) -> list[str]:
        """Contracts of real history, by symbol."""
        return self.contracts or ["BTCUSDT"]

    def open(self) -> MarketData:
        """Read or generate the market."""
        if not self.is_history:
            from gearing.market import synthetic_market

            market = synthetic_market(
                self.generator, self.seed, self.years, self.contracts, self.bar, **self.settings
            )
            return market.between(self.from_, self.to) if self.from_ or self.to else market
        from gearing.market import load_market

        return load_market(
            self.folder,
            self.symbols,
            self.bar,
            self.venue,
            self.from_,
            self.to,
            self.missing_mark,
            self.missing_funding,
            self.missing_tiers,
            self.finer,
        )


class Decision(Section):
    """What is decided, how often, with how much of the equity; see `SimulationConfig` for each setting."""

    interval: Duration = _DEFAULT.decision_interval
    mode: Literal["interval", "at_entry"] = "interval"
    direction: str = _DEFAULT.direction
    max_leverage: float = Field(default=_DEFAULT.max_leverage, gt=0.0)
    margin_mode: Literal["isolated", "cross"] = "isolated"
    margin_share: Share | list[Share] = 1.0
    initial_equity: float = Field(default=_DEFAULT.initial_equity, gt=0.0)
    rebalance: str = _DEFAULT.rebalance
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

    venue: str | None = None
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


class Forecast(Section):
    """The volatility forecast that becomes a column: out of sample over its whole length.

    Attributes
    ----------
    forecaster : str
        Name of a recipe, see `gearing.forecasters.forecasters`.
    train : duration
        First training window.
    window : {"expanding", "rolling"}
        Whether later windows keep their beginning or their length.
    refit : "month" or duration
    settings : mapping
        The estimator's own.
    """

    forecaster: str = "har_dow"
    horizon: Duration = "24h"
    train: Duration = "365d"
    window: Literal["expanding", "rolling"] = "expanding"
    refit: Literal["month"] | Duration = "month"
    settings: dict[str, Any] = Field(default_factory=dict)


class Pretraining(Section):
    """Training on a synthetic market before the real one.

    Attributes
    ----------
    generator : str
    seed, years : of the paths
    decisions : int
    """

    generator: str = "market-b"
    seed: int = Field(default=0, ge=0)
    years: float = Field(default=40.0, gt=0.0)
    decisions: int = Field(default=1_000_000, ge=1)


class Excursions(Section):
    """Forecast probabilities that the mark touches a price within the horizon, which become columns.

    Attributes
    ----------
    forecaster : str
        Of the variance, see `gearing.forecasters.forecasters`.
    horizon : duration
    sizes : list of float
        Moves against the position, as fractions of price.
    train, curve : duration
        First training window of the variance, and that of the curve which turns variances into probabilities.
    refit : "month" or duration
    """

    forecaster: str = "har"
    horizon: Duration = "24h"
    sizes: list[float] = Field(default=[0.02, 0.05, 0.10], min_length=1)
    train: Duration = "365d"
    curve: Duration = "180d"
    refit: Literal["month"] | Duration = "month"


class Agent(Section):
    """One learned policy.

    Attributes
    ----------
    algorithm : str
        Name of a learning algorithm.
    action : str
        Name of an action scheme; "residual" scales the leverage of the rule ``base``.
    columns : list of str
        Features and groups of them; "forecast" is the forecast column.
    steps : int
        Decisions to train on, of all environments together.
    envs : int
        Accounts that train side by side.
    settings : mapping
        The algorithm's own (learning rate, network, ...).
    controls : list of controls, optional
        Instead of the study's, in training as in the test.
    """

    algorithm: str = "ppo"
    action: str = "residual"
    base: str | None = None
    columns: list[str] = Field(default=["default", "forecast"], min_length=1)
    reward: Annotated[str, AfterValidator(_known_reward)] = "log_growth"
    episode_length: Duration | None = "90d"
    steps: int = Field(default=300_000, ge=1)
    envs: int = Field(default=64, ge=1)
    settings: dict[str, Any] = Field(default_factory=dict)
    controls: list[Control] | None = None

    @model_validator(mode="after")
    def _residual_has_a_base(self) -> Agent:
        if self.action == "residual" and self.base is None:
            raise ValueError(
                "action 'residual' scales the leverage of a rule: name it, as in base: volatility_weighted."
            )
        return self


class Rule(Section):
    """One rule of thumb: its name among the rules, its own settings, its risk controls instead of the study's."""

    rule: str
    settings: dict[str, Any] = Field(default_factory=dict)
    controls: list[Control] | None = None

    @model_validator(mode="after")
    def _exists(self) -> Rule:
        make_rule({"rule": self.rule, **self.settings})
        return self


# A plain list of names, or names with the rule and its settings.
Rules = Annotated[dict[str, Rule], BeforeValidator(_by_name)]


class Statistics(Section):
    """How results are compared."""

    baseline: str | None = None
    mean_block: float = Field(default=20.0, ge=1.0)  # days
    replications: int = Field(default=2000, ge=100)
    level: float = Field(default=0.95, gt=0.5, lt=1.0)


def account_settings(decision: Decision, exchange: Exchange) -> dict[str, Any]:
    """Settings of the simulated account by name, as `gearing.backtest` and the environments take them."""
    settings = decision.model_dump() | exchange.model_dump(exclude={"slippage"})
    settings["decision_interval"] = settings.pop("interval")
    settings["decision"] = settings.pop("mode")
    settings["slippage"] = type(_DEFAULT.slippage)(**exchange.slippage.model_dump())
    return settings
