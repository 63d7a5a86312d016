"""Costs that change during training: rising from zero, or drawn at random for every update.

With full costs from the start an untrained agent learns first that trading costs, and stops trading. Random costs
prevent it from relying on one venue's fees, one funding level and one slippage.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from gearing.names import shown

RANDOMISED = ("fees", "slippage", "funding")


@dataclass(frozen=True)
class CostFactors:
    """Factors of fees, slippage and funding."""

    fees: float = 1.0
    slippage: float = 1.0
    funding: float = 1.0


@dataclass(frozen=True)
class CostSchedule:
    """Cost factors during a training, determined by the arguments, so that a resumed training agrees.

    Parameters
    ----------
    warmup : float
        Share of the budget over which fees and slippage rise from zero to their full size.
    randomise : mapping of "fees", "slippage", "funding" to (low, high)
        Each update draws a factor, uniform in its logarithm.
    seed : int
    total : int
        Decisions of the budget.
    """

    warmup: float
    randomise: Mapping[str, tuple[float, float]]
    seed: int
    total: int

    def at(self, decisions: int) -> CostFactors:
        """Factors of the update that begins after so many decisions."""
        part = min(1.0, decisions / max(self.warmup * self.total, 1.0)) if self.warmup > 0.0 else 1.0
        rng = np.random.default_rng([self.seed, decisions, 77])
        drawn = {
            name: float(np.exp(rng.uniform(*np.log(self.randomise[name])))) if name in self.randomise else 1.0
            for name in RANDOMISED
        }
        return CostFactors(part * drawn["fees"], part * drawn["slippage"], drawn["funding"])

    @property
    def is_constant(self) -> bool:
        """Whether all factors are always 1."""
        return self.warmup == 0.0 and not self.randomise


def checked_ranges(given: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Ranges of factors as pairs.

    Raises
    ------
    ValueError
        For an unknown cost, or a range that is not positive and ascending.
    """
    ranges = {}
    for name, pair in given.items():
        if name not in RANDOMISED:
            raise ValueError(
                f"randomise has no {name!r}; it takes ranges of factors for {', '.join(RANDOMISED)}."
            )
        given_pair = pair if isinstance(pair, list | tuple) else ()
        numbers = [float(x) for x in given_pair if isinstance(x, Real) and 0.0 < float(x) < math.inf]
        if len(given_pair) != 2 or len(numbers) != 2 or numbers[0] > numbers[1]:
            raise ValueError(
                f"randomise: {name} is {shown(pair)}; it is a range of factors [low, high] with 0 < low <= high."
            )
        ranges[name] = (numbers[0], numbers[1])
    return ranges


class SimulatorCosts:
    """Applies factors to a simulator in place.

    Raises
    ------
    ValueError
        For a market mapped from a store, whose rows are shared by other processes.
    """

    def __init__(self, simulator: Any):
        if not simulator.tape.rows.flags.writeable:
            raise ValueError(
                "cost_warmup and randomise change the rows of the simulator, and those of a market mapped from a store "
                "are shared by all processes; train on a market in memory."
            )
        self._simulator = simulator
        terms, tape = simulator.kernel_contracts, simulator.tape
        arrays = {
            "fees": [terms["taker_fee"], terms["maker_fee"]],
            "slippage": [tape.rows["slippage"], tape.rows["impact"]],
            "funding": [tape.settlements["rate"]],
        }
        self._true = [(cost, array, np.array(array)) for cost, found in arrays.items() for array in found]

    def apply(self, factors: CostFactors) -> None:
        """Apply the factors from now on."""
        for cost, array, true in self._true:
            array[:] = getattr(factors, cost) * true
        self._simulator.read_terms()
