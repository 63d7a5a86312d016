"""Networks for books: one small function, shared by all contracts, of a contract's columns and of the book's means.

Weights do not depend on the number of contracts or on their order, so that a policy plays on contracts it has never
seen.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gearing.agents.policy.extractor import activation_class
from gearing.exchange.observing import ACCOUNT_COLUMNS, POSITION_COLUMNS

_LEAST_VOLATILITY = 1e-3
_LEAST_RISK = 1e-6  # of an input's book


class BookNetwork(nn.Module):
    """Market columns of all contracts to one action for each.

    Inputs of the function are a contract's scaled columns less their means over the available contracts (``own``), and
    those means (``shared``). Its value z is 0 before training where the output is a factor.

    Parameters
    ----------
    columns : int
        Market columns of a contract in the observation.
    scaling : mapping
        ``centre`` and ``spread`` of all columns, ``keep`` (indices of those that the network reads), ``clip``.
    output : {"factor", "exposure"}
        "factor": the action is 2^(octaves tanh z) - 1, as a residual scheme takes it: the rule's leverage times
        1 + action. "exposure": the target leverage is z x target / volatility / available contracts, in leverages of
        an evenly divided margin.
    layers : sequence of int
        Widths of hidden layers; none is a linear function.
    activation : str
    members : int
        Networks whose mean is returned: an ensemble.
    octaves : float
        Largest factor as a power of two, up to 1.
    own, shared : bool
        Which inputs there are. Without ``own`` all contracts have one factor.
    known_region : list of (float, float), optional
        Lowest and highest mean of each scaled column in training. Where a mean lies outside, z is 0: the rule.
    available_at, volatility_at : int, optional
        Indices of the columns ``available`` and of the volatility.
    target : float
        Annualised volatility of equity if every z were 1 and all contracts moved together.
    margin_share : float
        The account's, in all.
    lower, upper : float
        Bounds of target leverage.
    side : {"free", "long", "short"}
        With a fixed side exposures are magnitudes of 0 or more.
    """

    def __init__(
        self,
        columns: int,
        scaling: Mapping[str, Any],
        output: str = "factor",
        layers: Sequence[int] = (),
        activation: str = "tanh",
        members: int = 1,
        octaves: float = 1.0,
        own: bool = True,
        shared: bool = True,
        known_region: Any = None,
        available_at: int | None = None,
        volatility_at: int | None = None,
        target: float = 0.3,
        margin_share: float = 1.0,
        lower: float = 0.0,
        upper: float = 20.0,
        side: str = "long",
    ):
        super().__init__()
        if not (own or shared):
            raise ValueError(
                "a book network reads own columns, shared means, or both; own and shared are false."
            )
        if not 0.0 < octaves <= 1.0:
            raise ValueError(f"network.octaves is {octaves}; it must be in (0, 1].")
        self.columns, self.output, self.members = columns, output, members
        self.octaves, self.own, self.shared, self.side = float(octaves), own, shared, side
        self.available_at, self.volatility_at = available_at, volatility_at
        self.target, self.margin_share = float(target), float(margin_share)
        self.lower, self.upper, self.clip = float(lower), float(upper), float(scaling["clip"])
        keep = [int(k) for k in scaling["keep"]]
        for name in ("centre", "spread"):
            self.register_buffer(name, torch.tensor([scaling[name][k] for k in keep], dtype=torch.float32))
        self.register_buffer("keep", torch.tensor(keep))
        region = None if known_region is None else torch.tensor(known_region, dtype=torch.float32)
        self.register_buffer("region", region)
        sizes = [len(keep) * (int(own) + int(shared)), *layers, 1]
        shapes = list(pairwise(sizes))
        self.weights = nn.ParameterList(torch.zeros(members, a, b) for a, b in shapes)
        self.biases = nn.ParameterList(torch.zeros(members, 1, b) for _, b in shapes)
        self.register_buffer("gain", torch.ones(sizes[0]))  # of the inputs
        self.register_buffer("scale", torch.ones(members))  # of exposures
        self.activation = activation_class(activation)()

    def initialise(self, seeds: Sequence[int]) -> None:
        """Random hidden layers, one seed for each member; the last layer stays zero, and a linear function with it."""
        last = len(self.weights) - 1
        with torch.no_grad():
            for member, seed in enumerate(seeds):
                rng = np.random.default_rng([seed, 1])
                for k, weight in enumerate(self.weights):
                    draws = rng.standard_normal(weight.shape[1:]) / np.sqrt(weight.shape[1])
                    if k < last:
                        weight[member] = torch.from_numpy(draws)

    def forward(self, raw: Tensor) -> Tensor:
        """Actions (n, n_contracts) of raw observations (n, n_columns): the mean of the members'."""
        return self.of_members(self.blocks(raw)).mean(dim=0)

    def predict(
        self, raw: np.ndarray, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        """Actions (n, n_contracts); there is no state."""
        del episode_start, deterministic
        with torch.no_grad():
            return self(torch.from_numpy(np.ascontiguousarray(raw, np.float32))).numpy(), state

    def blocks(self, raw: Tensor) -> Tensor:
        """Market columns (n, n_contracts, n_columns) of raw observations; the account's columns follow them."""
        count = (raw.shape[1] - len(ACCOUNT_COLUMNS)) // (self.columns + len(POSITION_COLUMNS))
        return raw[:, : count * self.columns].reshape(-1, count, self.columns)

    def of_members(self, blocks: Tensor) -> Tensor:
        """Actions (members, n, n_contracts) of market columns (n, n_contracts, n_columns)."""
        z = self._function(blocks)
        if self.output == "factor":
            return torch.exp2(self.octaves * torch.tanh(z)) - 1.0
        return torch.clamp(self._sized(z, blocks) * self.scale[:, None, None], self.lower, self.upper)

    def _sized(self, z: Tensor, blocks: Tensor) -> Tensor:
        """Exposures of z (..., n, n_contracts) as leverages of an evenly divided margin."""
        held = self._available(blocks)
        spread = blocks[..., self.volatility_at].clamp(min=_LEAST_VOLATILITY) * held.sum(
            dim=1, keepdim=True
        ).clamp(min=1)
        size = self.target * blocks.shape[1] / self.margin_share / spread * held
        return (torch.relu(z) if self.side != "free" else z) * size

    def fit_gains(self, blocks: Tensor, moves: Tensor, per_year: float) -> None:
        """Scale the inputs so that the books which hold each of them in proportion have the target's volatility.

        Steps of equal size in the weights are then of about equal risk.

        Parameters
        ----------
        blocks : (n, n_contracts, n_columns)
        moves : (n, n_contracts)
            Simple returns over the decision intervals.
        """
        risk = self.input_returns(blocks, moves).std(dim=0)[:-1] * per_year**0.5
        self.gain.copy_(torch.where(risk > _LEAST_RISK, self.target / risk.clamp(min=_LEAST_RISK), self.gain))

    def input_returns(self, blocks: Tensor, moves: Tensor) -> Tensor:
        """Returns (n, n_inputs + 1) of the books that hold each input in proportion, and of the constant's."""
        inputs = self.inputs(blocks)[0] * self.gain
        z = torch.cat([inputs, torch.ones_like(inputs[..., :1])], dim=-1).movedim(-1, 0)
        side, self.side = self.side, "free"
        held = self._sized(z, blocks) * self.margin_share / blocks.shape[1]
        self.side = side
        return (held * moves).sum(dim=-1).T

    def set_linear(self, member: int, weights: np.ndarray) -> None:
        """Weights (n_inputs + 1,) of a linear function, the last its constant."""
        with torch.no_grad():
            values = torch.from_numpy(weights).to(self.weights[0].dtype)
            self.weights[0][member, :, 0], self.biases[0][member, 0, 0] = values[:-1], values[-1]

    def _function(self, blocks: Tensor) -> Tensor:
        """z (members, n, n_contracts)."""
        inputs, means = self.inputs(blocks)
        x = inputs.flatten(0, 1) * self.gain
        for k, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.matmul(self.activation(x) if k else x, weight) + bias
        z = x.squeeze(-1).unflatten(-1, blocks.shape[:2])
        if self.region is None:
            return z
        inside = ((means >= self.region[:, 0]) & (means <= self.region[:, 1])).all(dim=-1)  # (n, 1)
        return z * inside.to(z.dtype)

    def inputs(self, blocks: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs (n, n_contracts, n_inputs) of the function, and the scaled columns' means (n, 1, n_kept)."""
        chosen = torch.index_select(blocks, -1, self.keep)
        scaled = torch.clamp((chosen - self.centre) / self.spread, -self.clip, self.clip)
        held = self._available(blocks).unsqueeze(-1)
        means = (scaled * held).sum(dim=1, keepdim=True) / held.sum(dim=1, keepdim=True).clamp(min=1)
        parts = [(scaled - means) * held] if self.own else []
        parts += [means.expand_as(scaled)] if self.shared else []
        return torch.cat(parts, dim=-1), means

    def _available(self, blocks: Tensor) -> Tensor:
        """1 where a contract is available, else 0 (n, n_contracts)."""
        if self.available_at is None:
            return torch.ones_like(blocks[..., 0])
        return (blocks[..., self.available_at] > 0.5).to(blocks.dtype)
