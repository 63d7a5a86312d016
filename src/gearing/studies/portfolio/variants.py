"""Variants of a study of books: without some contracts, on contracts left out of the fit, with other funding."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from gearing.market import MarketData
from gearing.studies.fields import EachOnce, Section

ALL = "all"  # the study itself, among its variants


class Variant(Section):
    """The study again, with one of these changes.

    Attributes
    ----------
    left_out : int, optional
        So many groups of contracts, dealt in turn in the order of their first bars: scales are fitted on the books of
        the other groups, and each group is played alone. Numbers are means over the groups.
    drop : int, optional
        So many contracts fewer, of all years: those that gained most in the test, known in hindsight.
    by : {"contribution", "price"}, optional
        Which ones ``drop`` takes: what each policy gained most from (the default), or whose price rose most.
    missing_funding : {"zero", "median"}, optional
        Of history, instead of the market's choice.
    policies : list of str, optional
        Only these, the base among them; by default all.
    """

    left_out: int | None = Field(default=None, ge=2)
    drop: int | None = Field(default=None, ge=1)
    by: Literal["contribution", "price"] | None = None
    missing_funding: Literal["zero", "median"] | None = None
    policies: Annotated[list[str], EachOnce] | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _is_one_change(self) -> Variant:
        given = [name for name in ("left_out", "drop", "missing_funding") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"a variant changes one thing; this one has {' and '.join(given) or 'none'} of left_out, drop and "
                "missing_funding."
            )
        if self.by is not None and self.drop is None:
            raise ValueError("by says which contracts drop takes, and this variant drops none.")
        return self

    @property
    def takes_contracts(self) -> bool:
        """Whether it is played on other contracts, so that rules with contracts of their own take no part."""
        return self.missing_funding is None

    @property
    def words(self) -> str:
        """What is different, for a sentence."""
        if self.left_out is not None:
            return f"on contracts left out of the fit ({self.left_out} groups)"
        if self.drop is not None:
            which = "each policy gained most from" if self.by != "price" else "rose most"
            return f"without the {f'{self.drop} contracts' if self.drop > 1 else 'contract'} that {which}"
        return f"with funding of {self.missing_funding} where it is missing"


def dealt(market: MarketData, count: int) -> list[list[str]]:
    """Groups of contracts, dealt in turn in the order of their first bars, so that all groups have some from the start.

    Raises
    ------
    ValueError
        If there are fewer than two contracts for a group.
    """
    if market.n_contracts < 2 * count:
        raise ValueError(
            f"left_out: {count} groups of {market.n_contracts} contracts; each group needs two. Take fewer groups."
        )
    order = np.argsort(market.tradable.argmax(axis=0), kind="stable")
    return [[market.symbols[k] for k in sorted(order[i::count])] for i in range(count)]


def largest_rises(market: MarketData, since: np.datetime64, count: int) -> list[str]:
    """The contracts whose price rose most after ``since``, from their first bar there to their last."""
    rises = {}
    for k, symbol in enumerate(market.symbols):
        rows = np.flatnonzero(market.tradable[:, k] & (market.close_time > since))
        if rows.size:
            rises[symbol] = market.close[rows[-1], k] / market.close[rows[0], k]
    return most(rises, count)


def most(values: dict[str, float], count: int) -> list[str]:
    """The contracts with the largest values, largest first.

    Raises
    ------
    ValueError
        If fewer than two contracts would be left.
    """
    if len(values) < count + 2:
        raise ValueError(f"drop: {count} of {len(values)} contracts; two must be left. Drop fewer.")
    return sorted(values, key=lambda symbol: -values[symbol])[:count]
