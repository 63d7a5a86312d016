"""What an experiment is made of: one strict section for each part of its YAML file.

Every default is written here or in `gearing.simulation.SimulationConfig`, and printed back with the
experiment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from gearing.agents.hyperparameter_names import check_hyperparameters
from gearing.agents.settings import AgentSettings, agent_settings
from gearing.contracts import venue, venue_names
from gearing.forecasters.register import Recipe, forecaster
from gearing.forecasters.walk_forward import Schedule
from gearing.market.history.layout import PROFILES
from gearing.market.synthetic.generators import check_settings
from gearing.names import check_names
from gearing.policies.registry import make_control, make_rule
from gearing.simulation.config import SimulationConfig
from gearing.studies.fields import (
    Action,
    Column,
    Direction,
    Duration,
    Forecaster,
    Gap,
    Moment,
    Named,
    Rebalance,
    Reward,
    Section,
    Share,
    Venue,
    as_time,
    by_name,
    check_column,
)

if TYPE_CHECKING:
    from gearing.market import MarketData

_DEFAULT = SimulationConfig()


class Control(Named):
    """A risk control: ``{control: stop_loss, margin: 0.3}``, or only its name."""

    named_by = "control"

    control: str

    def make(self) -> Any:
        """The control itself."""
        return make_control({"control": self.control, **self.settings})

    def check(self) -> None:
        """Refuse an unknown control, parameter or column."""
        for column in self.make().required_columns:
            check_column(column)


class Rule(Named):
    """A rule of thumb: ``{rule: volatility_target, target: 1.0}``, or only its name.

    Attributes
    ----------
    controls : list of Control, optional
        Instead of the experiment's.
    """

    named_by = "rule"

    rule: str
    controls: list[Control] | None = None

    def make(self) -> Any:
        """The rule itself."""
        return make_rule({"rule": self.rule, **self.settings})

    def check(self) -> None:
        """Refuse an unknown rule, parameter or column."""
        for column in self.make().required_columns:
            check_column(column)


# A plain list of names, or names with the rule and its settings.
Rules = Annotated[dict[str, Rule], BeforeValidator(by_name)]


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
    seed: int = Field(default=0, ge=0)
    years: float = Field(default=6.0, gt=0.0)

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
        return self.contracts or ["BTCUSDT"]

    def each(self, symbols: Iterable[str] | None = None) -> dict[str, MarketData]:
        """Markets of one contract each: history over its own span; by default, of the market's own contracts."""
        names = self.contracts if symbols is None else list(symbols)
        if not self.is_history:
            market = self.model_copy(update={"contracts": names}).open()
            return {symbol: market.select([symbol]) for symbol in market.symbols}
        return {name: self.model_copy(update={"contracts": [name]}).open() for name in names or self.symbols}

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

    @model_validator(mode="after")
    def _fee_level_exists(self) -> Self:
        if self.fee_level is not None:
            profiles = [venue(name) for name in ([self.venue] if self.venue else venue_names())]
            levels = dict.fromkeys(level for profile in profiles for level, _, _ in profile.fee_levels)
            check_names("no fee level", [self.fee_level], levels)
        return self


class Training(Section):
    """When forecasters are fitted, and on what.

    Attributes
    ----------
    train : duration
        First training window.
    window : {"expanding", "rolling"}
        Whether later windows keep their beginning or their length.
    length : duration, optional
        Of a rolling window; ``train`` by default.
    refit : "month" or duration
    embargo : duration
        Gap between the end of the last target of training and the refit.
    """

    train: Duration = "365d"
    window: Literal["expanding", "rolling"] = "expanding"
    length: Duration | None = None
    refit: Literal["month"] | Duration = "month"
    embargo: Gap = "0h"

    @model_validator(mode="after")
    def _only_rolling_windows_have_a_length(self) -> Self:
        if self.length is not None and self.window == "expanding":
            raise ValueError("length belongs to window: rolling; an expanding window begins with train.")
        return self

    def refits(self, fit_every: str | None = None) -> Schedule:
        """The same as `gearing.forecasters.walk_forward` takes it; ``fit_every`` is the clock of training rows."""
        length = (self.length or self.train) if self.window == "rolling" else None
        return Schedule(self.train, length, self.refit, fit_every, self.embargo)


class NamedForecaster(Named):
    """A volatility forecaster: ``{forecaster: ridge, alpha: 2.0}``, or only its name.

    Attributes
    ----------
    forecaster : str
        See `gearing.forecasters.forecasters`; settings are the estimator's own.
    """

    named_by = "forecaster"

    forecaster: Forecaster

    @property
    def recipe(self) -> Recipe:
        """Estimator and columns."""
        return forecaster(self.forecaster)

    def check(self) -> None:
        """Refuse a setting that the estimator does not have."""
        if self.settings:  # only then is the library of the estimator imported
            known = self.recipe.estimator().get_params()
            check_names("no field", self.settings, [*self.field_names(), *known])


class Forecast(NamedForecaster, Training):
    """The volatility forecast that becomes a column: out of sample over its whole length."""

    forecaster: Forecaster = "har_dow"
    horizon: Duration = "24h"

    @property
    def arguments(self) -> dict[str, Any]:
        """The same as arguments of `gearing.forecasters.forecast_volatility_column`."""
        named = {"forecaster": self.forecaster, "horizon": self.horizon, "schedule": self.refits()}
        return named | self.settings


class Excursions(Forecast):
    """Forecast probabilities that the mark touches a price within the horizon, which become columns.

    ``forecaster`` forecasts the variance, from which a curve makes probabilities.

    Attributes
    ----------
    sizes : list of float
        Moves against the position, as fractions of price.
    curve : duration
        First training window of the curve.
    """

    forecaster: Forecaster = "har"
    sizes: list[float] = Field(default=[0.02, 0.05, 0.10], min_length=1)
    curve: Duration = "180d"

    def curve_refits(self) -> Schedule:
        """When the curve is fitted."""
        return Schedule(self.curve, refit=self.refit)


class Pretraining(Generator):
    """Training on a synthetic market before the real one.

    Attributes
    ----------
    seed, years : of the paths
    decisions : int
    """

    seed: int = Field(default=0, ge=0)
    years: float = Field(default=40.0, gt=0.0)
    decisions: int = Field(default=1_000_000, ge=1)


class Learner(Named):
    """A learning algorithm: ``{algorithm: ppo, task: market_a_full}``, or only its name.

    Attributes
    ----------
    algorithm, settings
        See `gearing.agents.AgentSettings`.
    seeds : int, optional
        Instead of the experiment's number.
    """

    named_by = "algorithm"

    algorithm: str
    seeds: int | None = Field(default=None, ge=1)

    def check(self) -> None:
        """Refuse an unknown algorithm, task or hyper-parameter."""
        check_agent(self.algorithm, self.settings, self.field_names())


class Agent(Named):
    """A learned policy: ``{algorithm: ppo, action: residual, base: tiered}``, or only its algorithm.

    Attributes
    ----------
    algorithm, settings
        See `gearing.agents.AgentSettings`: whatever differs from the algorithm's hyper-parameters.
    action : str, optional
        Name of an action scheme; "residual" scales the leverage of the rule ``base``. Default: "residual" where a
        base is named, else "leverage".
    columns : list of str, optional
        Features and groups of them, "forecast" and "excursions"; default: the study's.
    reward : str
        Of agents that learn by reward.
    steps, envs, episode_length : optional
        The settings ``total_decisions``, ``n_accounts`` and ``episode`` in short.
    interval : duration, optional
        Its own decision interval.
    bootstrap : int
        Block-bootstrap paths of the training span that are added for each contract.
    pretrain : Pretraining, optional
    choose : bool
        Whether the weights are chosen on validation; False takes the last ones.
    controls : list of Control, optional
        Instead of the study's, in training as in the test.
    seeds : int or list of int, optional
        Instead of the study's.
    groups, directions : list of str, optional
        Only these of the study.
    """

    named_by = "algorithm"

    algorithm: str = "ppo"
    action: Action | None = None
    base: str | None = None
    columns: list[Column] | None = Field(default=None, min_length=1)
    reward: Reward = "log_growth"
    steps: int | None = Field(default=None, ge=1)
    envs: int | None = Field(default=None, ge=1)
    episode_length: Duration | None = None
    interval: Duration | None = None
    bootstrap: int = Field(default=0, ge=0)
    pretrain: Pretraining | None = None
    choose: bool = True
    controls: list[Control] | None = None
    seeds: Annotated[int, Field(ge=1)] | Annotated[list[int], Field(min_length=1)] | None = None
    groups: list[str] | None = Field(default=None, min_length=1)
    directions: list[str] | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _residual_has_a_base(self) -> Agent:
        if self.action == "residual" and self.base is None:
            raise ValueError(
                "action 'residual' scales the leverage of a rule: name it, as in base: volatility_weighted."
            )
        if self.action not in (None, "residual") and self.base is not None:
            raise ValueError(f"action {self.action!r} scales no rule. Drop base, or write action: residual.")
        return self

    def check(self) -> None:
        """Refuse an unknown algorithm, task or hyper-parameter."""
        check_agent(self.algorithm, self.settings, self.field_names())

    @property
    def hyper_parameters(self) -> dict[str, Any]:
        """What `gearing.agents.agent_settings` takes."""
        short = {"total_decisions": self.steps, "n_accounts": self.envs, "episode": self.episode_length}
        given = {name: value for name, value in short.items() if value is not None}
        return {"algorithm": self.algorithm, **given, **self.settings}


def check_agent(algorithm: str, settings: Mapping[str, Any], others: Iterable[str] = ()) -> None:
    """Refuse an unknown algorithm, task or hyper-parameter of an agent.

    Parameters
    ----------
    algorithm : str
    settings : mapping
        Of `gearing.agents.AgentSettings`.
    others : iterable of str
        Names that a misspelt setting may have meant as well.
    """
    check_names("no field", settings, [*others, *AgentSettings.__dataclass_fields__])
    made = agent_settings({**settings, "algorithm": algorithm})
    if {"network", "parameters"} & settings.keys():  # those that ship are tested; this imports torch
        check_hyperparameters(made)


# A plain list of algorithms, or names with the algorithm and its settings.
Agents = Annotated[dict[str, Agent], BeforeValidator(by_name)]


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
