"""Years resampled from a book's returns, and what they gain and lose at a scale.

The same view as `gearing.evaluation.risk.drawdown_budget.scale_to_budget` takes of a policy's past, but differentiable:
returns grow in proportion to the scale, blocks of days are drawn with their order.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gearing.evaluation.statistics.bootstrap import stationary_indices

_LEAST_LEFT = 1e-3  # of equity, in one decision interval
_LARGEST_STEP = 0.3  # of the scale's logarithm in an update
_MOST = 1e3  # scale


def resampled(n: int, length: int, count: int, mean_block: float, rng: np.random.Generator) -> np.ndarray:
    """Places (count, length) of decisions among n, in blocks of a geometric length."""
    pieces = [stationary_indices(n, min(mean_block, float(n)), count, rng) for _ in range(-(-length // n))]
    return np.concatenate(pieces, axis=1)[:, :length]


def growth_and_drawdown(returns: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Log growth a decision and largest drawdown of every path, each (members, paths).

    Parameters
    ----------
    returns : (members, paths, n_decisions)
        At scale 1.
    scale : (members,)
    """
    logs = torch.log(torch.clamp(1.0 + scale[:, None, None] * returns, min=_LEAST_LEFT))
    wealth = torch.cumsum(logs, dim=-1)
    wealth = torch.cat([torch.zeros_like(wealth[..., :1]), wealth], dim=-1)
    below = wealth - torch.cummax(wealth, dim=-1).values
    return logs.mean(dim=-1), 1.0 - torch.exp(below.min(dim=-1).values)


class BudgetPrice:
    """Scale and price of drawdown of each member, so that mean largest drawdowns meet a budget.

    The Lagrange multiplier of the budget is what one more unit of drawdown buys by a larger scale: the ratio of the
    two derivatives with respect to the scale. The scale follows the budget (dual update in its logarithm).

    Parameters
    ----------
    members : int
    budget : float
        Mean largest drawdown of the paths.
    rate : float
        Step of the scale's logarithm for a drawdown that is wrong by a factor of e.

    Attributes
    ----------
    scale : (members,) float64 tensor
        Of the returns that ``loss`` is given next.
    """

    def __init__(self, members: int, budget: float, rate: float):
        self.budget, self.rate = budget, rate
        self.scale = torch.ones(members, dtype=torch.float64)

    def loss(self, returns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What is descended, summed over the members; growth a decision and mean drawdown (members,) without gradient.

        Moves ``scale`` towards the budget.

        Parameters
        ----------
        returns : (members, paths, n_decisions)
        """
        scale = self.scale.clone().requires_grad_()
        growth, drawdown = (x.mean(dim=1) for x in growth_and_drawdown(returns.detach(), scale))
        gains = torch.autograd.grad(growth.sum(), scale, retain_graph=True)[0]
        losses = torch.autograd.grad(drawdown.sum(), scale)[0]
        price = torch.clamp(gains / losses.clamp(min=1e-9), min=0.0)
        scaled, lost = growth_and_drawdown(returns, self.scale)
        miss = torch.log(self.budget / drawdown.detach().clamp(min=1e-9))
        step = torch.clamp(self.rate * miss, -_LARGEST_STEP, _LARGEST_STEP)
        self.scale = torch.clamp(self.scale * torch.exp(step), max=_MOST)
        loss = (price * lost.mean(dim=1) - scaled.mean(dim=1)).sum()
        return loss, growth.detach(), drawdown.detach()
