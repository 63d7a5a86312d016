"""``gearing.train``: an agent from a market and the account's settings, in one call."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from gearing.agents.learner import Listener
from gearing.agents.policy.learned import LearnedPolicy
from gearing.agents.scoring import Markets, Tables
from gearing.agents.settings import AgentSettings
from gearing.agents.training import train_agent
from gearing.evaluation.columns import DEFAULT_FORECAST, FORECAST, Features, column_table, settings_columns
from gearing.features import Feature, FeatureSet, FeatureTable
from gearing.market.data import market_list
from gearing.simulation.actions import ResidualScheme
from gearing.simulation.config import SimulationConfig, check_settings

_FORECASTS = (FORECAST, "touch_down_", "touch_up_", "excursion_down_", "excursion_up_")
_NOT_PLAYED = (
    "action",
    "reward",
    "episode_length",
    "start",
)  # of the training alone; the policy has its own scheme


def train(
    agent: str | Mapping[str, Any] | AgentSettings,
    market: Markets,
    features: Features | list[FeatureTable] = ("default",),
    *,
    seed: int = 0,
    total_decisions: int | None = None,
    validation: Markets | tuple[Markets, Tables] | None = None,
    forecast: str | Mapping[str, Any] | None = DEFAULT_FORECAST,
    checkpoint_dir: str | Path | None = None,
    resume: bool | Literal["restart"] = False,
    start_from: LearnedPolicy | None = None,
    run: Any = None,
    progress: bool | str | Listener = False,
    **settings: Any,
) -> LearnedPolicy:
    """Train an agent; the same arguments give the same weights to the last bit.

    The policy that comes back knows the account that it was trained for: ``gearing.backtest(policy, other_market)``
    computes its columns and uses its settings, where no others are given.

    Parameters
    ----------
    agent : str, mapping or AgentSettings
        A name (``gearing.agents.agent_names()``), or a name and settings, such as
        ``{"algorithm": "ppo", "task": "daily_history", "parameters": {"learning_rate": 1e-4}}``.
    market : MarketData, or sequence of them
        The training span; several markets are paths that episodes draw from.
    features : str, sequence of str, FeatureSet, or FeatureTable (one for each market)
        What the agent observes, besides the columns of its account. "default" is complete after 90 days. A name of
        a forecast, such as ``forecast_volatility``, is forecast out of sample.
    seed : int
        Of the network's weights, the exploration and the episodes.
    total_decisions : int, optional
        Overrides the budget of the agent's settings.
    validation : MarketData, or (MarketData, FeatureTable), optional
        A later span, which chooses the weights. Without it, the last weights are taken.
    forecast : str, mapping or None
        As of :func:`gearing.backtest`.
    checkpoint_dir, resume, start_from, run, progress
        As of :func:`gearing.agents.train_agent`.
    **settings
        Fields of :class:`gearing.SimulationConfig`, such as ``direction="long", max_leverage=5, reward="log_growth"``.
        ``action`` is the agent's action scheme: "leverage" (the default), "tiers", an instance, or a rule, which the
        agent then scales.

    Returns
    -------
    LearnedPolicy
        It has ``predict``, ``save`` and ``settings``. :func:`gearing.agents.train_agent` also returns the history of
        validation.

    Raises
    ------
    ValueError
        For settings that do not exist or do not fit.
    gearing.agents.TrainingDiverged
        If a number is no longer finite; the message names it.

    Examples
    --------
    >>> policy = gearing.train("ppo", past, validation=recent, direction="long", max_leverage=5.0)
    >>> gearing.backtest(policy, future).table
    """
    check_settings(settings)
    config = SimulationConfig(**_with_scheme(settings))

    def tables(markets: Markets) -> list[FeatureTable]:
        return _tables(markets, features, config, forecast)

    given = (
        validation
        if validation is None or isinstance(validation, tuple)
        else (validation, tables(validation))
    )
    trained = train_agent(
        agent, market, tables(market), config, seed=seed, total_decisions=total_decisions, validation=given,
        checkpoint_dir=checkpoint_dir, resume=resume, start_from=start_from, run=run, progress=progress,
    )  # fmt: skip
    policy = trained.policy
    played = {name: getattr(config, name) for name in settings if name not in _NOT_PLAYED}
    return LearnedPolicy(policy.network, policy.description, played)


def _with_scheme(settings: dict[str, Any]) -> dict[str, Any]:
    """A rule as ``action`` is the base of a residual scheme."""
    action = settings.get("action")
    if hasattr(action, "predict"):
        most = settings.get("max_leverage", SimulationConfig.max_leverage)
        return {**settings, "action": ResidualScheme(most, base=action)}
    return settings


def _tables(
    markets: Markets,
    features: Any,
    config: SimulationConfig,
    forecast: str | Mapping[str, Any] | None,
) -> list[FeatureTable]:
    """The table of each market: given ones unchanged, else computed, with what settings and action scheme read."""
    given = [features] if isinstance(features, FeatureTable) else features
    if isinstance(given, list) and given and all(isinstance(table, FeatureTable) for table in given):
        return given
    computed, forecasts = _named(given)
    read = (*forecasts, *settings_columns(config), *getattr(config.action, "required_columns", ()))
    return [column_table(read, one, computed, forecast) for one in market_list(markets)]


def _named(features: Any) -> tuple[FeatureSet | list[Any], list[str]]:
    """Features, and names of forecasts."""
    if isinstance(features, FeatureSet):
        return features, []
    names = [features] if isinstance(features, str | Feature) else list(features or ())
    forecasts = [name for name in names if isinstance(name, str) and name.startswith(_FORECASTS)]
    return [name for name in names if name not in forecasts], forecasts
