"""``gearing/Book-v0``: how much of a rule's book, on one cross-margin account over many contracts.

The action is one number u in [-1, 1]: the leverage of every position is the rule's times 2^(octaves x u). Action 0 is
the rule itself, to the last bit. Everything else is as in ``gearing/Perpetual-v0``, whose arguments these functions
take.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gearing.envs.perpetual import PerpetualEnv
from gearing.envs.vector import PerpetualVectorEnv
from gearing.features import FeatureSet, FeatureTable, is_feature
from gearing.market.data import MarketData
from gearing.policies.registry import make_rule
from gearing.simulation.actions import BookScaleScheme
from gearing.simulation.config import SimulationConfig
from gearing.simulation.hooks import hooks_of
from gearing.simulation.policy import Policy, check_policy_type

if TYPE_CHECKING:
    from gearing.envs.sb3 import PerpetualVecEnv

RULE = "book_trend"
_YEARS = 3.0  # of the book that is traded where no market is given


def scalar(
    market: MarketData | None = None,
    rule: str | Mapping[str, Any] | Policy = RULE,
    octaves: float = 1.0,
    render_mode: str | None = None,
    **settings: Any,
) -> PerpetualEnv:
    """The Gymnasium env.

    Parameters
    ----------
    market : MarketData, optional
        Default: three years of ``book-drift``. For history, ``gearing.load_market(folder, "all", ...)``.
    rule : str, mapping or Policy
        The book that is scaled: the name of a rule, a mapping of name and parameters, or a policy without memory.
    octaves : float
        Largest power of two by which the rule is scaled up or down.
    **settings
        As of ``gearing/Perpetual-v0``; ``features`` names further columns to observe.
    """
    return PerpetualEnv(render_mode=render_mode, **book_arguments(market, rule, octaves, settings))


def vector(
    num_envs: int = 1,
    market: MarketData | None = None,
    rule: str | Mapping[str, Any] | Policy = RULE,
    octaves: float = 1.0,
    **settings: Any,
) -> PerpetualVectorEnv:
    """The native vector env."""
    return PerpetualVectorEnv(num_envs=num_envs, **book_arguments(market, rule, octaves, settings))


def sb3(
    num_envs: int = 1,
    market: MarketData | None = None,
    rule: str | Mapping[str, Any] | Policy = RULE,
    octaves: float = 1.0,
    **settings: Any,
) -> PerpetualVecEnv:
    """The stable-baselines3 ``VecEnv``."""
    from gearing.envs.sb3 import PerpetualVecEnv

    return PerpetualVecEnv(num_envs=num_envs, **book_arguments(market, rule, octaves, settings))


def book_arguments(
    market: MarketData | None, rule: Any, octaves: float, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Arguments of the environments of ``gearing/Perpetual-v0``.

    Raises
    ------
    ValueError
        For an action scheme of the caller's own: the environment has one.
    """
    if "action" in settings:
        raise ValueError("gearing/Book-v0 has an action of its own; use gearing/Perpetual-v0 with action=...")
    if market is None:
        from gearing.market.synthetic.generators import synthetic_market

        market = synthetic_market("book-drift", seed=0, years=_YEARS)
    policy = make_rule(rule) if isinstance(rule, str | Mapping) else rule
    check_policy_type(policy)
    given = {**hooks_of(policy).settings, **settings}
    most = float(given.get("max_leverage", SimulationConfig.max_leverage))
    action = BookScaleScheme(most, policy, octaves)
    return {
        "market": market,
        **given,
        "features": _features(policy, market, given.get("features")),
        "action": action,
    }


def _features(policy: Policy, market: MarketData, features: Any) -> Any:
    """The columns that the rule reads and those that the caller names; a table is used unchanged."""
    if isinstance(features, FeatureTable):
        return features
    known = FeatureSet(features).features if features and not isinstance(features, FeatureSet) else ()
    known = features.features if isinstance(features, FeatureSet) else known
    seen = {feature.name for feature in known}
    read = [name for name in policy.required_columns if is_feature(name) and name not in seen]
    return FeatureSet([*known, *read]).compute(market)
