"""Many decisions of many accounts of one contract, and their gradient, in one compiled pass.

The accounting is that of `TorchLedger`, in shares of equity: growth and the leverage held next depend on the leverage
held now and on the edge of the band that is traded to. Each step therefore carries four derivatives, by dual numbers
(value, d/d held, d/d edge); a backward pass over them gives the gradient of the whole path. The effect of wealth on
impact and tiers is in the values but not in the derivatives.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gearing.agents.differentiable.interval_data import IntervalData
from gearing.agents.differentiable.torch_ledger import Accounts, TorchLedger
from gearing.storage.compiling import njit

_FUNDING = [6, 7]  # columns of the rows: funding of one unit at the open, and after it
_LOWER, _UPPER = 1, 2  # the edge traded to; 0: the position was left unchanged


@njit(inline="always")
def _add(x, y):
    return x[0] + y[0], x[1] + y[1], x[2] + y[2]


@njit(inline="always")
def _sub(x, y):
    return x[0] - y[0], x[1] - y[1], x[2] - y[2]


@njit(inline="always")
def _mul(x, y):
    return x[0] * y[0], x[0] * y[1] + x[1] * y[0], x[0] * y[2] + x[2] * y[0]


@njit(inline="always")
def _div(x, y):
    v = x[0] / y[0]
    return v, (x[1] - v * y[1]) / y[0], (x[2] - v * y[2]) / y[0]


@njit(inline="always")
def _scale(x, k):
    return x[0] * k, x[1] * k, x[2] * k


@njit(inline="always")
def _shift(x, k):
    return x[0] + k, x[1], x[2]


@njit(inline="always")
def _abs(x):
    return _scale(x, -1.0) if x[0] < 0.0 else x


@njit(inline="always")
def _min(x, y):
    return x if x[0] <= y[0] else y


@njit(inline="always")
def _max(x, y):
    return x if x[0] >= y[0] else y


@njit(inline="always")
def _const(k):
    return k, 0.0, 0.0


@njit(inline="always")
def _log(x):
    return math.log(x[0]), x[1] / x[0], x[2] / x[0]


@njit(inline="always")
def _sqrt(x):
    root = math.sqrt(x[0])
    return root, 0.5 * x[1] / root, 0.5 * x[2] / root


@njit(inline="always")
def _sigmoid(x):
    v = 1.0 / (1.0 + math.exp(-min(max(x[0], -500.0), 500.0)))
    return v, v * (1.0 - v) * x[1], v * (1.0 - v) * x[2]


@njit(cache=True, error_model="numpy")
def _fill(held, checked, edge, equity, setting, row, terms, tiers):
    """Per unit of equity: quantity after the order, its price, the leverage setting, and the most that it posts.

    See ``TorchLedger._fill``.
    """
    mark, opened, mark_open, slippage, impact = row[0], row[1], row[2], row[8], row[9]
    fee, share, change, part = terms[0], terms[1], terms[3], terms[5]
    flat = edge[0] == 0.0
    side = 1.0 if edge[0] > 0.0 else -1.0
    if flat:
        side = -1.0 if held[0] > 0.0 else 1.0
    leverage = _scale(_abs(edge), 1.0 / share)
    wanted = _scale(_abs(edge), 1.0 / mark)
    new_setting = _max(leverage, _const(1.0))
    if held[0] * edge[0] > 0.0:
        if change == 1.0:
            new_setting = _max(_const(setting), new_setting)
        elif change == 2.0:
            new_setting = _const(setting)
    rough = _scale(held, -1.0) if flat else _sub(_scale(wanted, side), held)
    slip = _const(slippage)
    if impact > 0.0:
        slip = _shift(_scale(_sqrt(_shift(_scale(_abs(rough), opened * equity), 1e-12)), impact), slippage)
    sign = 1.0 if rough[0] > 0.0 else (-1.0 if rough[0] < 0.0 else 0.0)
    price = _scale(_shift(_scale(slip, sign * part), 1.0), opened)
    if flat:
        return _const(0.0), price, new_setting[0], _const(np.inf)
    same = _scale(held, side)
    if wanted[0] <= same[0]:
        return _scale(wanted, side), price, new_setting[0], _const(np.inf)
    cost = _add(_scale(price, fee), _max(_scale(_shift(price, -mark_open), side), _const(0.0)))
    affordable = _div(_add(checked, _mul(cost, same)), _add(_div(price, new_setting), cost))
    cap = 0.0
    for k in range(tiers.shape[0]):
        if tiers[k, 4] >= new_setting[0]:
            cap = max(cap, min(tiers[k, 3], 1e30))
    sized, allowed = _min(wanted, affordable), _div(_const(cap / equity), price)
    size = _max(_max(_min(sized, allowed), same), _const(0.0))
    most = _const(np.inf)
    if sized[0] > allowed[0]:
        most = _div(_mul(size, price), _min(new_setting, leverage))
    return _scale(size, side), price, new_setting[0], most


@njit(cache=True, error_model="numpy")
def _step(leverage, edge, hold, equity, setting, backing, row, terms, tiers, floor):
    """Growth less the price of liquidations, next leverage (dual numbers), next setting and backing, growth of
    equity and smoothed liquidation, of one account over one interval."""
    mark, mark_open, end_mark, low, high = row[0], row[2], row[3], row[4], row[5]
    funding_open, funding_after = row[6], row[7]
    fee, share, cross, softness = terms[0], terms[1], terms[2], terms[4]
    held = _scale(leverage, 1.0 / mark)
    opened = _shift(_scale(held, -funding_open), 1.0)
    now = _add(opened, _scale(held, mark_open - mark))
    checked = _scale(_min(_const(1.0), now), share)
    if hold:
        quantity, price, fees = held, _const(mark_open), _const(0.0)
        posted = _const(backing + held[0] * (mark_open - mark - funding_open))
    else:
        quantity, price, setting, most = _fill(held, checked, edge, equity, setting, row, terms, tiers)
        fees = _scale(_mul(_abs(_sub(quantity, held)), price), fee)
        posted = _min(_sub(checked, fees), most)
    if cross == 1.0:
        posted = _sub(now, fees)
    end = _add(opened, _mul(held, _shift(price, -mark)))
    end = _add(end, _mul(quantity, _shift(_scale(price, -1.0), end_mark - funding_after)))
    end = _sub(end, fees)
    last, weight = _const(0.0), _const(0.0)
    if quantity[0] != 0.0:
        extreme = low if quantity[0] > 0.0 else high
        paid = _shift(_scale(price, -1.0), mark_open)  # minus the fill's loss against the mark
        worst = _add(posted, _mul(quantity, _shift(paid, extreme - mark_open - funding_after)))
        last = _add(posted, _mul(quantity, _shift(paid, end_mark - mark_open - funding_after)))
        value = _scale(_abs(quantity), extreme)
        k = 0
        while k + 1 < tiers.shape[0] and value[0] * equity >= tiers[k + 1, 0]:
            k += 1
        needed = _shift(_scale(value, tiers[k, 1]), -tiers[k, 2] / equity)
        scale = softness * max(posted[0], 1e-9)
        weight = _sigmoid(_scale(_sub(needed, worst), 1.0 / scale))
        end = _sub(end, _mul(weight, last))
        kept = _shift(_scale(weight, -1.0), 1.0)
        quantity, last = _mul(quantity, kept), _mul(last, kept)
    end = _max(end, _const(floor / equity))
    priced = _sub(_log(end), _scale(weight, terms[6]))
    return priced, _div(_scale(quantity, end_mark), end), setting, last[0] / end[0], end[0], weight[0]


@njit(cache=True, error_model="numpy")
def _forward(
    low, high, rows, equity, leverage, setting, backing, terms, tiers, floor, growth, slopes, traded, risk
):
    """Unroll in place: priced growth (b, t), slopes (b, t, 4), the edge traded to and the liquidations (b, t)."""
    for b in range(low.shape[0]):
        for t in range(low.shape[1]):
            held = leverage[b]
            hold = held != 0.0 and low[b, t] <= held <= high[b, t]
            which, edge = 0, 0.0
            if held < low[b, t]:
                which, edge = _LOWER, low[b, t]
            elif held > high[b, t]:
                which, edge = _UPPER, high[b, t]
            g, after, setting[b], backing[b], grown, risk[b, t] = _step(
                (held, 1.0, 0.0), (edge, 0.0, 1.0), hold, equity[b], setting[b], backing[b], rows[b, t], terms,
                tiers, floor,
            )  # fmt: skip
            growth[b, t] = g[0]
            slopes[b, t, 0], slopes[b, t, 1] = g[1], g[2]
            slopes[b, t, 2], slopes[b, t, 3] = after[1], after[2]
            traded[b, t] = which
            leverage[b] = after[0]
            equity[b] *= grown


@njit(cache=True, error_model="numpy")
def _backward(upstream, slopes, traded, to_low, to_high):
    """Gradient by the edges, from that by the growths."""
    for b in range(upstream.shape[0]):
        ahead = 0.0  # gradient by the leverage held after the step
        for t in range(upstream.shape[1] - 1, -1, -1):
            by_edge = upstream[b, t] * slopes[b, t, 1] + ahead * slopes[b, t, 3]
            if traded[b, t] == _LOWER:
                to_low[b, t] = by_edge
            elif traded[b, t] == _UPPER:
                to_high[b, t] = by_edge
            ahead = upstream[b, t] * slopes[b, t, 0] + ahead * slopes[b, t, 2]


class _Unroll(torch.autograd.Function):
    @staticmethod
    def forward(
        context: Any, low: Tensor, high: Tensor, ledger: Any, before: tuple[np.ndarray, ...]
    ) -> Tensor:
        """``before``: rows, equity, leverage, setting, backing and risk; all but the rows are changed in place."""
        edges = [np.ascontiguousarray(e.detach().numpy(), np.float64) for e in (low, high)]
        growth = np.empty(edges[0].shape)
        slopes, traded = np.empty((*growth.shape, 4)), np.empty(growth.shape, np.int8)
        *batch, risk = before
        _forward(*edges, *batch, ledger.terms, ledger.tiers, ledger.floor, growth, slopes, traded, risk)
        context.slopes, context.traded = slopes, traded
        return torch.from_numpy(growth)

    @staticmethod
    def backward(context: Any, *upstream: Tensor) -> Any:
        given = np.ascontiguousarray(upstream[0].numpy())
        to_low, to_high = np.zeros_like(given), np.zeros_like(given)
        _backward(given, context.slopes, context.traded, to_low, to_high)
        return torch.from_numpy(to_low), torch.from_numpy(to_high), None, None


class CompiledLedger:
    """A `TorchLedger` of one contract, compiled for bands."""

    def __init__(self, ledger: TorchLedger, data: IntervalData):
        tiers = ledger.tiers[0]
        fee, share = float(ledger.fee[0]), float(ledger.share[0])
        self.terms = np.array([fee, share, ledger.cross, ledger.leverage_change, ledger.softness, 1.0, 0.0])
        parts = (tiers.floor, tiers.rate, tiers.amount, tiers.cap, tiers.top)
        self.tiers = np.stack([part.numpy() for part in parts], axis=1)
        self.floor, self._ledger = 0.001 * ledger.initial_equity, ledger
        self.rows = np.concatenate([field.numpy() for field in data[:10]], axis=1)

    def unroll(
        self, accounts: Accounts, low: Tensor, high: Tensor, index: Tensor
    ) -> tuple[Tensor, Tensor, Accounts]:
        """Growth under bands of effective leverage (b, t, 1).

        Parameters
        ----------
        index : (b, t) decisions

        Returns
        -------
        priced : (b, t) log growth, less ``ledger.price`` for every liquidation
        liquidated : (b, t) smoothed number of liquidations, without gradient
        accounts : Accounts
        """
        ledger, costs = self._ledger, self._ledger.costs
        self.terms[[0, 5, 6]] = costs.fees * float(ledger.fee[0]), costs.slippage, ledger.price
        rows = self.rows[index.numpy()]
        rows[..., _FUNDING] *= costs.funding
        equity, quantity, setting, backing = (p.detach().numpy().reshape(-1).copy() for p in accounts)
        leverage, share, risk = quantity * rows[:, 0, 0] / equity, backing / equity, np.zeros(index.shape)
        before = (rows, equity, leverage, setting, share, risk)  # changed by the pass
        growth: Tensor = _Unroll.apply(low[..., 0], high[..., 0], self, before)
        parts = (leverage * equity / rows[:, -1, 3], setting, share * equity)
        after = [torch.from_numpy(part[:, None]) for part in parts]
        return growth, torch.from_numpy(risk), Accounts(torch.from_numpy(equity), *after)
