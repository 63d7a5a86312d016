"""``gearing/Book-v0``: leverage around a rule's book, on one cross-margin account over many contracts.

Action 0 is the rule itself, to the last bit. Level 1 is one number u in [-1, 1]: the leverage of every position is the
rule's times 2^(octaves x u). Level 2 is a number for each of several books, whose weights are softmax(tilt x action); 0
is their mean. Level 3 is a number for each contract, whose leverage is the rule's times exp(residual x action).
Everything else is as in ``gearing/Perpetual-v0``, whose arguments these functions take.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gearing.envs.book_observation import BookSimulator, observed_table
from gearing.envs.perpetual import PerpetualEnv
from gearing.envs.vector import PerpetualVectorEnv
from gearing.features import FeatureSet, FeatureTable, is_feature
from gearing.market.data import MarketData, market_list
from gearing.names import shown
from gearing.policies.registry import make_rule
from gearing.policies.rules import Average
from gearing.simulation.book_actions import BookResidualScheme, BookScaleScheme, BookTiltScheme
from gearing.simulation.config import SimulationConfig
from gearing.simulation.hooks import hooks_of
from gearing.simulation.policy import Policy, check_policy_type

if TYPE_CHECKING:
    from gearing.envs.sb3 import PerpetualVecEnv

Book = str | Mapping[str, Any] | Policy
RULE = "book_trend"
BOOKS: dict[str, Any] = {
    "channel": {"rule": "book_trend", "signal": "channel"},
    "t_statistic": {"rule": "book_trend", "signal": "t_statistic"},
    "sign": {"rule": "book_trend", "signal": "sign"},
    "carry": {"rule": "book_trend", "signal": "channel", "carry": 1.0},
}
LEVELS = (1, 2, 3)
_OPTIONS = ("level", "rule", "books", "octaves", "tilt", "residual", "blocks")
_YEARS = 3.0  # of the book that is traded where no market is given


def scalar(
    market: MarketData | Sequence[MarketData] | None = None, render_mode: str | None = None, **settings: Any
) -> PerpetualEnv:
    """The Gymnasium env.

    Parameters
    ----------
    market : MarketData or sequence of MarketData, optional
        Default: three years of ``book-drift``. For history, ``gearing.load_market(folder, "all", ...)``. With
        several, every episode draws one.
    **settings
        Those of the book, see `book_arguments`, and those of ``gearing/Perpetual-v0``.
    """
    return PerpetualEnv(render_mode=render_mode, **_arguments(market, settings))


def vector(
    num_envs: int = 1, market: MarketData | Sequence[MarketData] | None = None, **settings: Any
) -> PerpetualVectorEnv:
    """The native vector env; arguments as of `scalar`."""
    return PerpetualVectorEnv(num_envs=num_envs, **_arguments(market, settings))


def sb3(
    num_envs: int = 1, market: MarketData | Sequence[MarketData] | None = None, **settings: Any
) -> PerpetualVecEnv:
    """The stable-baselines3 ``VecEnv``; arguments as of `scalar`."""
    from gearing.envs.sb3 import PerpetualVecEnv

    return PerpetualVecEnv(num_envs=num_envs, **_arguments(market, settings))


def _arguments(market: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The book's own options apart from the other settings."""
    own = {name: value for name, value in settings.items() if name in _OPTIONS}
    others = {name: value for name, value in settings.items() if name not in _OPTIONS}
    return book_arguments(market, others, **own)


def book_arguments(
    market: MarketData | Sequence[MarketData] | None,
    settings: Mapping[str, Any],
    *,
    level: int = 1,
    rule: Book | None = None,
    books: Mapping[str, Book] | None = None,
    octaves: float = 1.0,
    tilt: float = 3.0,
    residual: float = 0.4,
    blocks: bool = True,
) -> dict[str, Any]:
    """Arguments of the environments of ``gearing/Perpetual-v0``.

    Parameters
    ----------
    settings : mapping
        Other arguments of the environment; ``features`` names further columns to observe.
    level : {1, 2, 3}
        One action for the book, one for each of several books, or one for each contract.
    rule : str, mapping or Policy, optional
        The book of levels 1 and 3: the name of a rule (default ``book_trend``), a mapping of name and parameters, or a
        policy without memory.
    books : mapping of name to str, mapping or Policy, optional
        The books of level 2; by default three signals of trend, and one with carry.
    octaves : float
        Level 1: largest power of two by which the rule is scaled up or down.
    tilt : float
        Level 2: weights are softmax(tilt x action).
    residual : float
        Level 3: largest change of a contract's log leverage.
    blocks : bool
        Whether the observation has the columns of `gearing.envs.book_observation` besides those that the rule reads;
        they need 120 days of history.

    Raises
    ------
    ValueError
        For an action scheme of the caller's own, a level that does not exist, or a rule where books are tilted.
    """
    if "action" in settings:
        raise ValueError("gearing/Book-v0 has an action of its own; use gearing/Perpetual-v0 with action=...")
    if not isinstance(blocks, bool):
        raise TypeError(f"blocks is {shown(blocks)}; it must be True or False.")
    parts = _books(level, rule, books)
    policy = Average(tuple(parts.values())) if level == 2 else parts["rule"]
    given = {**hooks_of(policy).settings, **settings}
    most = float(given.get("max_leverage", SimulationConfig.max_leverage))
    action = (
        BookScaleScheme(most, policy, octaves) if level == 1
        else BookTiltScheme(most, parts, tilt) if level == 2
        else BookResidualScheme(most, policy, residual)
    )  # fmt: skip
    markets = [_drifting()] if market is None else market_list(market)
    tables = _tables(markets, policy, given, blocks)
    kind = {"simulator": BookSimulator} if blocks else {}
    return {"market": markets, **given, "features": tables, "action": action, **kind}


def _books(level: Any, rule: Any, books: Any) -> dict[str, Policy]:
    """The rule of levels 1 and 3 by the name "rule", the books of level 2 by theirs."""
    if isinstance(level, bool) or level not in LEVELS:
        raise ValueError(f"level is {shown(level)}; it must be 1, 2 or 3.")
    unread = (
        "rule" if level == 2 and rule is not None else "books" if level != 2 and books is not None else None
    )
    if unread is not None:
        raise ValueError(
            f"level {level} does not read {unread}; levels 1 and 3 take rule, level 2 takes books."
        )
    if level != 2:
        return {"rule": _made(RULE if rule is None else rule)}
    given = BOOKS if books is None else books
    if not isinstance(given, Mapping):
        raise TypeError(f"books is {shown(given)}; give a mapping of names to rules.")
    return {str(name): _made(one) for name, one in given.items()}


def _made(rule: Any) -> Policy:
    policy = make_rule(rule) if isinstance(rule, str | Mapping) else rule
    check_policy_type(policy)
    return policy


def _drifting() -> MarketData:
    from gearing.market.synthetic.generators import synthetic_market

    return synthetic_market("book-drift", seed=0, years=_YEARS)


def _tables(
    markets: Sequence[MarketData], policy: Policy, settings: Mapping[str, Any], blocks: bool
) -> list[FeatureTable]:
    """The columns that the rule reads and those that the caller names, then the blocks."""
    features = settings.get("features")
    if isinstance(features, FeatureTable):
        tables = [features]
    else:
        tables = [_rule_table(policy, market, features) for market in markets]
    if not blocks:
        return tables
    names = set(SimulationConfig.__dataclass_fields__) - {"action"}
    config = SimulationConfig(**{name: value for name, value in settings.items() if name in names})
    return [
        observed_table(table, market, policy, config) for table, market in zip(tables, markets, strict=True)
    ]


def _rule_table(policy: Policy, market: MarketData, features: Any) -> FeatureTable:
    known = FeatureSet(features).features if features and not isinstance(features, FeatureSet) else ()
    known = features.features if isinstance(features, FeatureSet) else known
    seen = {feature.name for feature in known}
    read = [name for name in policy.required_columns if is_feature(name) and name not in seen]
    return FeatureSet([*known, *read]).compute(market)
