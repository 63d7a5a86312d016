"""Rules made of other rules: averages, and books scaled to a volatility of equity."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gearing.features.table import AVAILABLE
from gearing.names import shown
from gearing.policies.registry import make_rule, rule
from gearing.policies.rules.books import as_targets, mean_of
from gearing.policies.rules.portfolio import CORRELATION, portfolio_volatility
from gearing.policies.rules.rule import (
    Columns,
    Rule,
    check_numbers,
    check_positive,
    put_numbers,
    values,
    volatility,
)


def made_part(owner: str, part: Any) -> Rule:
    """A rule that another one contains, given as the rule itself, its name, or a mapping of name and parameters."""
    made = make_rule(part) if isinstance(part, str | Mapping) else part
    if not isinstance(made, Rule):
        raise TypeError(
            f"{owner}: a part is {shown(part)}; give the name of a rule, a mapping such as "
            "{rule: book_trend, short: 1.0}, or a rule that has no memory."
        )
    return made


def joint_settings(parts: tuple[Rule, ...]) -> dict[str, Any]:
    """Settings of the parts together: the side is chosen as soon as one part chooses it."""
    given = [dict(getattr(part, "settings", {})) for part in parts]
    merged = {name: value for one in given for name, value in one.items()}
    if any(one.get("direction") == "free" for one in given):
        merged["direction"] = "free"
    return merged


@rule("average")
@dataclass(frozen=True)
class Average(Rule):
    """The weighted mean of several rules' target leverages.

    When: several rules are plausible and history is too short to choose among them; the mean has less risk than its
    parts, and nothing is chosen. Weakness: rules that trade against each other cancel and still cost; a bad rule stays
    in it.

    Parameters
    ----------
    rules : tuple of rules
        Names, or mappings of name and parameters, so that YAML can name them.
    weights : tuple of float
        One for each rule, summing to 1; none given is equal weights.
    """

    rules: tuple[Any, ...] = ("book_trend", "book_inverse_volatility")
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.rules, list | tuple) or not self.rules:
            raise ValueError(f"Average: rules is {shown(self.rules)}; give a list of at least one rule.")
        object.__setattr__(self, "rules", tuple(made_part("Average", part) for part in self.rules))
        put_numbers(self, "weights")
        given = self.weights
        if given and (len(given) != len(self.rules) or min(given) < 0.0 or abs(sum(given) - 1.0) > 1e-9):
            raise ValueError(
                f"Average: weights are {given} for {len(self.rules)} rules; give one each, not negative, summing to 1."
            )

    @property
    def required_columns(self) -> tuple[str, ...]:
        """Those of the parts."""
        return tuple(dict.fromkeys(name for part in self.rules for name in part.required_columns))

    @property
    def settings(self) -> dict[str, Any]:
        """Those of the parts."""
        return joint_settings(self.rules)

    def choose(self, observation: Columns) -> np.ndarray:
        """Weighted mean."""
        weights = self.weights or (1.0 / len(self.rules),) * len(self.rules)
        parts = [w * part.choose(observation) for w, part in zip(weights, self.rules, strict=True)]
        return np.sum(parts, axis=0)


@rule("book_volatility_target")
@dataclass(frozen=True)
class BookVolatilityTarget(Rule):
    """A book scaled so that equity has the target volatility, as long as the book holds anything.

    Volatility of equity follows from the contracts' own volatilities with one correlation for all pairs, the
    universe's mean one. Of ``book_inverse_volatility`` it makes risk parity with a volatility target. When: the risk of
    equity is to be steady. Weakness: a book that was going to be small, because few contracts trend, is made large.

    Parameters
    ----------
    base : rule
        Name, or mapping of name and parameters.
    target : float
        Annualised volatility of equity.
    most : float
        Largest factor that the base is multiplied by.
    margin_share, max_leverage
        As of `Book`.
    column, correlation : str
        Columns of the annualised volatility and of the mean correlation with the others.
    """

    base: Any = "book_inverse_volatility"
    target: float = 0.3
    most: float = 5.0
    margin_share: float = 1.0
    max_leverage: float = 20.0
    column: str = "realized_volatility_30d"
    correlation: str = CORRELATION

    def __post_init__(self) -> None:
        object.__setattr__(self, "base", made_part("BookVolatilityTarget", self.base))
        check_numbers(self)
        check_positive(self, "target", "most", "margin_share", "max_leverage")

    @property
    def required_columns(self) -> tuple[str, ...]:
        """Those of the base, availability, volatility and correlation."""
        own = (AVAILABLE, self.column, self.correlation)
        return tuple(dict.fromkeys((*self.base.required_columns, *own)))

    @property
    def settings(self) -> dict[str, Any]:
        """Those of the base."""
        return joint_settings((self.base,))

    def choose(self, observation: Columns) -> np.ndarray:
        """The base times target over its volatility."""
        held = observation[AVAILABLE] > 0.5
        shape = self.base.choose(observation)
        exposure = shape * self.margin_share / shape.shape[1]
        rho = mean_of(values(observation, self.correlation), held)
        whole = portfolio_volatility(exposure, volatility(observation, self.column), rho)
        factor = np.minimum(self.target / np.maximum(whole, 1e-9), self.most)
        return as_targets(exposure * factor, self.margin_share, self.max_leverage)
