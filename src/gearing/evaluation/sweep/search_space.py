"""Spaces of a rule's parameters, and the configurations drawn from them.

A space names a rule and gives each parameter as a value, a list of choices, or a range ``(low, high)``.
"""

from collections.abc import Iterator, Mapping
from itertools import chain, islice, product
from typing import Any

import numpy as np

from gearing.policies import make_rule

Space = Mapping[str, Any]
Configuration = dict[str, Any]
_DRAWS = 1000


def check_space(space: Space, search: str, n: int | None = None) -> None:
    """Refuse a space that cannot be searched: unknown names, a range in a grid, a search without a number of draws.

    Raises
    ------
    ValueError
        Naming the parameter.
    """
    if search != "grid" and not n:
        raise ValueError(f"search {search!r} needs n, the number of configurations.")
    ranges = [name for name, given in space.items() if _is_range(given)]
    if ranges and search == "grid":
        raise ValueError(
            f"{', '.join(ranges)}: a grid takes lists of values, a range (low, high) is for a search."
        )
    is_configuration(_middle(space))


def example(space: Space) -> Configuration:
    """One valid configuration: the first of all choices and the middle of all ranges, or else a draw.

    Raises
    ------
    ValueError
        If none of a thousand draws can be made.
    """
    draws = islice(random_draws(space, np.random.default_rng(0)), _DRAWS)
    for configuration in chain([_middle(space)], draws):
        if is_configuration(configuration):
            return configuration
    raise ValueError(
        f"no configuration of the space {dict(space)} can be made: the rule refuses its parameters together."
    )


def _middle(space: Space) -> Configuration:
    firsts = {name: given[0] if isinstance(given, list) else given for name, given in space.items()}
    return {name: 0.5 * sum(given) if _is_range(given) else given for name, given in firsts.items()}


def suggested(trial: Any, space: Space) -> Configuration:
    """Choices and draws of an optuna trial."""
    made: Configuration = {}
    for name, given in space.items():
        if isinstance(given, list):
            made[name] = trial.suggest_categorical(name, given)
        elif _is_range(given):
            made[name] = trial.suggest_float(name, *given)
        else:
            made[name] = given
    return made


def grid(space: Space) -> Iterator[Configuration]:
    """All combinations of the choices."""
    choices = [given if isinstance(given, list) else [given] for given in space.values()]
    for values in product(*choices):
        yield dict(zip(space, values, strict=True))


def random_draws(space: Space, rng: np.random.Generator) -> Iterator[Configuration]:
    """Endless random draws of choices and ranges."""
    while True:
        yield {name: _drawn(given, rng) for name, given in space.items()}


def _drawn(given: Any, rng: np.random.Generator) -> Any:
    if isinstance(given, list):
        return given[rng.integers(len(given))]
    return float(rng.uniform(*given)) if _is_range(given) else given


def _is_range(given: Any) -> bool:
    return isinstance(given, tuple) and len(given) == 2 and all(isinstance(x, (int, float)) for x in given)


def is_configuration(configuration: Configuration) -> bool:
    """Whether the rule accepts the parameters together (low above high is no configuration); names must exist."""
    try:
        make_rule(configuration)
    except ValueError as error:
        if "no parameter" in str(error) or "no rule" in str(error):
            raise
        return False
    return True
