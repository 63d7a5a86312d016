"""The account of a book as a differentiable function of its target leverages, for whole series at once.

Exactly the accounting of the simulator with a cross-margin account that trades at every decision, as long as nothing is
liquidated, no order is cut to its tier's cap or rounded to a lot, and slippage does not depend on size. Every amount is
a share of the equity at the deciding close, so that a day depends on the day before only through the positions it
leaves; these are found by a few passes over the whole series instead of a walk through it.
"""

from __future__ import annotations

from copy import copy
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gearing.agents.costs import CostFactors
from gearing.agents.differentiable.interval_data import IntervalData, interval_data
from gearing.simulation.simulator import Simulator

PASSES = 4  # costs are some thousandths of what is held, so each pass gains about three digits
_LEAST_GROWTH = 1e-3  # of equity over a decision interval


class Prices(NamedTuple):
    """Of each decision and contract (n_decisions, n_contracts) float64, relative to the mark at the deciding close."""

    open: Tensor  # traded price at which the order fills
    mark_open: Tensor  # mark at the same moment
    end: Tensor  # mark at the end of the interval
    funding_at_open: Tensor  # what one unit pays at the open, before the fill
    funding_after: Tensor  # what one unit pays later in the interval
    slippage: Tensor
    traded: Tensor  # bool: whether the contract has a price there


class BookLedger:
    """Returns of an account over many contracts.

    Parameters
    ----------
    simulator : Simulator
        Of the markets and settings; every decision of every path is a row, path by path.

    Attributes
    ----------
    prices : Prices
    first : (n_decisions,) bool tensor
        Where a path begins, with a flat account.
    columns : (n_decisions, n_market_columns) float32 tensor
        Observation at each decision.
    costs : CostFactors
        Of fees, slippage and funding: 1, except during a curriculum.
    """

    def __init__(self, simulator: Simulator):
        terms, rules = simulator.kernel_contracts[0], simulator.kernel_config[0]
        if not bool(rules.cross):
            raise ValueError("the book's accounting is that of cross margin; set margin_mode='cross'.")
        data = interval_data(simulator, untraded=True)
        if bool((data.impact > 0.0).any()):
            raise ValueError(
                "the book's accounting does not cover slippage that grows with the order; set impact to 0."
            )
        self.share = torch.from_numpy(np.array(terms.margin_share))
        self.fee = torch.from_numpy(np.array(terms.taker_fee))
        self.columns, self.prices = data.columns, _relative(data)
        rows = torch.arange(len(data.last))
        self.first = torch.ones(len(rows), dtype=torch.bool)
        self.first[1:] = data.last[1:] != data.last[:-1]
        self.costs = CostFactors()

    def stretch(self, start: int, stop: int) -> BookLedger:
        """The accounting of the decisions from ``start`` to before ``stop``, which begins with a flat account."""
        part = copy(self)
        part.columns, part.first = self.columns[start:stop], self.first[start:stop].clone()
        part.prices = Prices(*(values[start:stop] for values in self.prices))
        part.first[:1] = True
        return part

    def returns(self, leverage: Tensor, passes: int = PASSES) -> Tensor:
        """Simple returns of equity over the decision intervals.

        Parameters
        ----------
        leverage : (..., n_decisions, n_contracts) float64
            Signed targets of the margin share.
        passes : int
            Improvements of the positions before the orders. Only the last is differentiated, at the equity found by
            then: the gradient leaves out how costs change the equity that later costs are paid from.

        Returns
        -------
        (..., n_decisions)
        """
        held = torch.zeros_like(leverage)
        with torch.no_grad():
            growth = torch.ones_like(leverage[..., 0])
            for _ in range(passes - 1):
                growth, filled = self._pass(leverage, held)
                held = self._carried(filled, growth)
        growth, filled = self._pass(leverage, held)
        held = self._carried(filled, growth.detach())
        return self._pass(leverage, held)[0] - 1.0

    def _carried(self, filled: Tensor, growth: Tensor) -> Tensor:
        """Exposure before each order: what the day before left."""
        after = filled * self.prices.end / growth.unsqueeze(-1)
        before = torch.roll(after, 1, dims=-2)
        return torch.where(self.first[:, None], torch.zeros_like(before), before)

    def _pass(self, leverage: Tensor, held: Tensor) -> tuple[Tensor, Tensor]:
        """Growth factors (..., n_decisions) of equity, and exposures after the orders, at exposures before them."""
        p, factors = self.prices, self.costs
        at_open = held * (p.mark_open - 1.0 - factors.funding * p.funding_at_open)
        now = 1.0 + at_open.sum(dim=-1, keepdim=True)
        filled, price = self._fill(leverage, held, torch.clamp(now, max=1.0) * self.share)
        fees = factors.fees * self.fee * (filled - held).abs() * price
        profit = held * (price - 1.0 - factors.funding * p.funding_at_open)
        profit = profit + filled * (p.end - price - factors.funding * p.funding_after) - fees
        return torch.clamp(1.0 + profit.sum(dim=-1), min=_LEAST_GROWTH), filled

    def _fill(self, leverage: Tensor, held: Tensor, margin: Tensor) -> tuple[Tensor, Tensor]:
        """Exposure after the orders and their relative prices; an increase must be covered by its ``margin``."""
        p, factors = self.prices, self.costs
        target = torch.where(p.traded, leverage, torch.zeros_like(leverage))
        side = torch.where(target == 0.0, -torch.sign(held), torch.sign(target))
        wanted = target.abs() * self.share
        rough = torch.sign(side * wanted - held)
        price = p.open * (1.0 + rough * factors.slippage * p.slippage)
        same = side * held
        cost = factors.fees * self.fee * price + torch.clamp(side * (price - p.mark_open), min=0.0)
        setting = torch.clamp(target.detach().abs(), min=1.0)  # which a cross account may change at any time
        affordable = (margin + cost * same) / (price / setting + cost)
        limited = torch.clamp(torch.maximum(torch.minimum(wanted, affordable), same), min=0.0)
        size = torch.where(wanted <= same, wanted, limited)
        # of a target of 0 the value is 0 and the gradient that of a small position
        return torch.where(target == 0.0, target * self.share, side * size), price


def _relative(data: IntervalData) -> Prices:
    """Prices over the mark at the deciding close; 1, and no funding, where a contract has none."""
    mark = data.mark
    known = torch.isfinite(mark) & torch.isfinite(data.open) & torch.isfinite(data.end) & (mark > 0.0)
    traded = data.traded & known

    def over(values: Tensor, otherwise: float) -> Tensor:
        return torch.where(traded, values / mark, torch.full_like(mark, otherwise))

    return Prices(
        open=over(data.open, 1.0), mark_open=over(data.mark_open, 1.0), end=over(data.end, 1.0),
        funding_at_open=over(data.funding_at_open, 0.0), funding_after=over(data.funding_after, 0.0),
        slippage=torch.where(traded, data.slippage, torch.zeros_like(mark)), traded=traded,
    )  # fmt: skip
