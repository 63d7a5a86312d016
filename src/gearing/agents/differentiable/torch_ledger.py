"""The simulator's accounting in torch: equity after a decision interval as a differentiable function of leverage.

On paths without liquidation it equals the kernel's ledger, operation by operation (except lots, ticks and smallest
orders, which have no gradient). A liquidation is smoothed: its weight rises from 0 to 1 as the margin balance at the
adverse extreme falls through the maintenance margin.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gearing.agents.costs import CostFactors
from gearing.agents.differentiable.interval_data import IntervalData
from gearing.simulation.simulator import Simulator

_SMALLEST = 1e-12


class Accounts(NamedTuple):
    """State of a batch of accounts at the last close, float64."""

    equity: Tensor  # (b,)
    quantity: Tensor  # (b, m)
    setting: Tensor  # (b, m), leverage setting of each position
    backing: Tensor  # (b, m), margin balance of each position (isolated), lost in a liquidation

    def effective_leverage(self, mark: Tensor) -> Tensor:
        """Signed notional at mark over equity (b, m)."""
        return self.quantity * mark / self.equity[:, None]


class TorchLedger:
    """Settings of the accounting.

    Parameters
    ----------
    simulator : Simulator
        Its fees, tiers, margin rules and venue apply.
    softness : float
        Width of the smoothed liquidation as a share of the posted margin.
    device : where accounts and data are

    Attributes
    ----------
    costs : CostFactors
        Factors of fees, slippage and funding: 1, except during a curriculum.
    price : float
        Penalty of a liquidation in log growth, in addition to the money it loses.
    """

    def __init__(self, simulator: Simulator, softness: float = 0.02, device: torch.device | str = "cpu"):
        terms, rules = simulator.kernel_contracts[0], simulator.kernel_config[0]
        self.fee = torch.from_numpy(np.array(terms.taker_fee)).to(device)
        self.share = torch.from_numpy(np.array(terms.margin_share)).to(device)
        self.cross = bool(rules.cross)
        self.leverage_change = int(rules.leverage_change)
        self.initial_equity = float(simulator.config.initial_equity)
        self.softness = softness
        self.costs, self.price = CostFactors(), 0.0
        self.tiers = [_Tiers(simulator, j, device) for j in range(len(simulator.contracts))]

    def open_accounts(self, count: int) -> Accounts:
        """Flat accounts with the initial equity."""
        slots = len(self.tiers)
        flat = torch.zeros(count, slots, dtype=torch.float64, device=self.fee.device)
        equity = torch.full_like(flat[:, 0], self.initial_equity)
        return Accounts(equity, flat, torch.ones_like(flat), flat)

    def step(
        self, accounts: Accounts, target: Tensor, hold: Tensor, data: IntervalData
    ) -> tuple[Accounts, Tensor, Tensor]:
        """Hold a target over one decision interval.

        Parameters
        ----------
        target : (b, m) float64
            Signed target leverage of the margin share.
        hold : (b, m) bool
            True leaves the position unchanged, as a NaN target does in the simulator.
        data : fields (b, m)

        Returns
        -------
        accounts : Accounts
        growth : (b,) log growth of equity
        liquidated : (b,) smoothed number of liquidations
        """
        equity, held = accounts.equity, accounts.quantity
        at_open, after = (self.costs.funding * f for f in (data.funding_at_open, data.funding_after))
        after_open = equity - (held * at_open).sum(dim=1)
        now = after_open + (held * (data.mark_open - data.mark)).sum(dim=1)
        checked = torch.minimum(equity, now)[:, None] * self.share
        quantity, price, setting, most = self._fill(accounts, target, data, checked)
        quantity = torch.where(hold, held, quantity)
        setting = torch.where(hold, accounts.setting, setting)
        price = torch.where(hold, data.mark_open, price)
        fees = self.costs.fees * self.fee * (quantity - held).abs() * price
        profit = held * (price - data.mark) + quantity * (data.end - price) - fees - quantity * after
        end = after_open + profit.sum(dim=1)
        carried = accounts.backing + held * (data.mark_open - data.mark - at_open)
        new = torch.minimum(checked - fees, most)
        posted = now[:, None] - fees if self.cross else torch.where(hold, carried, new)
        end, quantity, backing, weight = self._liquidate(equity, end, quantity, posted, price, data)
        floor = 0.001 * self.initial_equity
        growth = torch.log(torch.clamp(end, min=floor)) - torch.log(torch.clamp(equity, min=floor))
        return Accounts(torch.clamp(end, min=floor), quantity, setting, backing), growth, weight

    def _fill(
        self, accounts: Accounts, target: Tensor, data: IntervalData, checked: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Signed quantity after the order, its fill price, the leverage setting, and the most that it posts.

        That is the margin of what is held for an order cut to its tier's cap, else infinite; see ``exchange.orders``.
        """
        held = accounts.quantity
        side = torch.where(target == 0.0, -torch.sign(held), torch.sign(target))
        wanted = target.abs() * self.share * accounts.equity[:, None] / data.mark
        setting = self._setting(accounts, target, held)
        rough = torch.where(target == 0.0, -held, side * wanted - held)
        slip = data.slippage + data.impact * torch.sqrt(rough.abs() * data.open + _SMALLEST)
        slip = torch.where(data.impact > 0.0, slip, data.slippage)
        price = data.open * (1.0 + torch.sign(rough) * self.costs.slippage * slip)
        same = side * held
        cost = self.costs.fees * self.fee * price + torch.clamp(side * (price - data.mark_open), min=0.0)
        affordable = (checked + cost * same) / (price / setting + cost)
        allowed = torch.stack([t.largest(setting[:, j]) for j, t in enumerate(self.tiers)], dim=1) / price
        sized = torch.minimum(wanted, affordable)
        limited = torch.clamp(torch.maximum(torch.minimum(sized, allowed), same), min=0.0)
        size = torch.where(wanted <= same, wanted, limited)
        cut = (wanted > same) & (sized > allowed) & (target != 0.0)
        leverage = torch.where(cut, torch.minimum(setting, target.abs()), torch.ones_like(setting))
        most = torch.where(cut, size * price / leverage, torch.full_like(size, torch.inf))
        return torch.where(target == 0.0, torch.zeros_like(held), side * size), price, setting, most

    def _setting(self, accounts: Accounts, target: Tensor, held: Tensor) -> Tensor:
        """Leverage setting as far as the venue lets it change on an open position of the same side."""
        wanted = torch.clamp(target.abs(), min=1.0)
        if self.leverage_change == 0:
            return wanted
        kept = torch.maximum(accounts.setting, wanted) if self.leverage_change == 1 else accounts.setting
        return torch.where(held * target > 0.0, kept, wanted)

    def _liquidate(
        self, equity: Tensor, end: Tensor, quantity: Tensor, posted: Tensor, price: Tensor, data: IntervalData
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Mix in the state after a liquidation, weighted by the margin balance.

        ``posted`` is the margin balance right after the fill; returns equity, quantity and backing at the end, and
        the smoothed number of liquidations.
        """
        extreme = torch.where(quantity > 0.0, data.low, data.high)
        move = torch.stack([extreme - data.mark_open, data.end - data.mark_open], dim=0)
        worst, last = (
            posted
            + quantity * (move - self.costs.funding * data.funding_after)
            - quantity * (price - data.mark_open)
        )
        notional = quantity.abs() * extreme
        needed = torch.stack([t.maintenance(notional[:, j]) for j, t in enumerate(self.tiers)], dim=1)
        # The width grows with wealth: the distance to liquidation depends on leverage, not on the account's size.
        wealth = (equity / equity.detach())[:, None]
        scale = self.softness * posted.detach().clamp(min=1e-9) * wealth
        weight = torch.sigmoid((needed - worst) / scale)
        weight = torch.where(quantity == 0.0, torch.zeros_like(weight), weight)
        kept = 1.0 - weight
        return end - (weight * last).sum(dim=1), quantity * kept, last * kept, weight.sum(dim=1)


class _Tiers:
    """Margin tiers of one contract at the end of the data."""

    def __init__(self, simulator: Simulator, j: int, device: torch.device | str):
        row: Any = simulator.tape.rows[-1, j]
        tiers = simulator.tape.tiers[row.tiers_first : row.tiers_last]
        self.floor, self.rate, self.amount, self.cap, self.top = (
            torch.from_numpy(np.array(tiers[name])).to(device)
            for name in ("floor", "rate", "amount", "cap", "max_leverage")
        )

    def largest(self, setting: Tensor) -> Tensor:
        """Largest notional at a leverage setting; a step function, so without gradient."""
        allows = self.top >= setting.detach()[:, None]
        cap = self.cap.clamp(max=1e30)  # infinity times a gradient of zero would be NaN
        return torch.where(allows, cap, torch.zeros_like(cap)).amax(dim=1)

    def maintenance(self, notional: Tensor) -> Tensor:
        """Maintenance margin, continuous in the notional."""
        tier = (torch.searchsorted(self.floor, notional.detach(), right=True) - 1).clamp(min=0)
        return notional * self.rate[tier] - self.amount[tier]
