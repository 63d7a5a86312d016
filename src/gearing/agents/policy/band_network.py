"""Networks that output a no-trade band: with proportional costs the best policy trades to its nearest edge.

The band depends on the market columns alone (and a recurrent state of them), the leverage held decides whether to
trade. So a training unrolls many decisions with one pass through the network.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gearing.agents.policy.extractor import ScaledColumns, activation_class

_STEEP = 10.0  # of the function that makes a width positive: narrow bands still move quickly


class BandNetwork(nn.Module):
    """Raw observation to target leverage, NaN where the held leverage lies inside the band.

    Parameters
    ----------
    scaling : mapping
        Arguments of `ScaledColumns`; keeps market columns only.
    layers : sequence of int
    activation : str
    memory : int
        Width of a recurrent layer (GRU) in front; 0 for none.
    beliefs : int
        Hidden regimes that the recurrent layer is trained to classify, see ``DifferentiableLearner``; later layers then
        receive their probabilities instead of the memory. 0 for none.
    members : int
        Networks of an ensemble; the band is their mean.
    lower, upper : float
        Bounds of effective leverage (of equity).
    shares : sequence of float
        Margin share per contract: target leverage = effective leverage / share.
    side : {"free", "long", "short", "signal"}
        A short side returns magnitudes, as the simulator's direction requires; with a signal the band consists of
        magnitudes, and a column in [-1, 1] sets the side.
    held_at : sequence of int
        Indices of the columns ``effective_leverage`` in the observation.
    signal_at : sequence of int
        Indices of the signal's columns.
    start_width : float
        Half width of the band before training, as a share of the bounds' distance.
    start_leverage : float or None
        Effective leverage at the middle of the band before training; None is the middle of the bounds. On little
        data an early stop keeps an agent near it.
    """

    def __init__(
        self,
        scaling: Mapping[str, Any],
        layers: Any = (32, 32),
        activation: str = "silu",
        memory: int = 0,
        beliefs: int = 0,
        members: int = 1,
        lower: float = 0.0,
        upper: float = 1.0,
        shares: Any = (1.0,),
        side: str = "long",
        held_at: Any = (0,),
        signal_at: Any = (),
        start_width: float = 0.003,
        start_leverage: float | None = None,
    ):
        super().__init__()
        if beliefs and not memory:
            raise ValueError(
                f"network has beliefs: {beliefs} but memory: 0; a belief needs a memory, such as memory: 32."
            )
        self.scaled = ScaledColumns(**scaling)
        self.lower, self.upper, self.side = float(lower), float(upper), side
        self.slots, self.memory = len(shares), memory
        self.register_buffer("shares", torch.tensor(list(shares), dtype=torch.float32))
        self.register_buffer("held_at", torch.tensor(list(held_at)))
        self.register_buffer("signal_at", torch.tensor(list(signal_at), dtype=torch.int64))
        self.middle, self.half = 0.5 * (self.lower + self.upper), 0.5 * (self.upper - self.lower)
        start = 0.0 if start_leverage is None else (start_leverage - self.middle) / self.half
        widths = (self.scaled.n_columns, layers, memory, beliefs, self.slots)
        kind = activation_class(activation)
        self.members = nn.ModuleList(_Member(*widths, kind, start_width, start) for _ in range(members))

    def band(
        self, columns: Tensor, member: int | None = None, state: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Edges of the band of effective leverage for observations (b, t, n), the next recurrent state and beliefs.

        Beliefs are logits (b, t, beliefs), for one member only.

        Parameters
        ----------
        columns : raw observations or market columns; only the selected ones are read
        member : one network of the ensemble, None for their mean
        state : (members, b, memory), or (b, memory) for one member
        """
        chosen = list(self.members) if member is None else [self.members[member]]
        states = [None] * len(chosen) if state is None else list(state if member is None else state[None])
        scaled = self.scaled(columns)
        outputs = [m(scaled, s) for m, s in zip(chosen, states, strict=True)]
        low = torch.stack([self._bounded(a[0]) for a in outputs]).mean(dim=0)
        high = torch.stack([self._bounded(a[1]) for a in outputs]).mean(dim=0)
        after = torch.stack([a[2] for a in outputs])
        if self.side == "signal":
            edges = torch.stack([low, high]) * torch.index_select(columns, -1, self.signal_at)
            low, high = edges.amin(dim=0), edges.amax(dim=0)
        if member is None:
            return low, high, after, after.new_zeros(0)
        return low, high, after[0], outputs[0][3]

    def _bounded(self, edge: Tensor) -> Tensor:
        """From the network's scale, where +-1 are the bounds, to leverage, bounds included."""
        # Beyond a bound a small gradient remains, so that an edge can return.
        inside = torch.clamp(edge, -1.0, 1.0)
        beyond = 0.01 * (edge - inside)
        return self.middle + self.half * (inside + (beyond - beyond.detach()))

    def forward(self, raw: Tensor) -> Tensor:
        """Target leverage (n, n_slots) of raw observations (n, n_columns), without a recurrent state."""
        return self.decide(raw)[0]

    def decide(self, raw: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Targets of the margin share (n, n_slots), NaN where the band holds, and the next state."""
        low, high, after, _ = self.band(raw[:, None], state=state)
        held = torch.index_select(raw, -1, self.held_at)
        return band_targets(held, low[:, 0], high[:, 0], self.divisor(raw)), after

    def divisor(self, raw: Tensor) -> Tensor:
        """Effective leverage over target: the margin share times the side, by which the simulator multiplies again."""
        share = -self.shares if self.side == "short" else self.shares
        if self.side != "signal":
            return share
        signal = torch.index_select(raw, -1, self.signal_at)
        return share * torch.where(signal == 0.0, 1.0, signal)

    def predict(
        self, raw: np.ndarray, state: Any, episode_start: np.ndarray | None, deterministic: bool
    ) -> tuple[np.ndarray, Any]:
        """Targets of numpy observations; the state is (members, n, memory), zeroed where an episode begins."""
        del deterministic  # a band has no noise
        with torch.no_grad():
            rows = torch.from_numpy(np.ascontiguousarray(raw))
            before = None
            if self.memory and state is not None:
                fresh = np.zeros(len(raw), bool) if episode_start is None else np.asarray(episode_start)
                before = torch.from_numpy(state) * torch.from_numpy(~fresh).float()[:, None]
            targets, after = self.decide(rows, before)
        return targets.numpy().astype(np.float64), after.numpy() if self.memory else None


def band_targets(held: Tensor, low: Tensor, high: Tensor, divisor: Tensor) -> Tensor:
    """Targets for held effective leverages and a band: its nearer edge over the divisor; NaN (hold) inside."""
    edge = torch.minimum(torch.maximum(held, low), high) / divisor
    inside = (held >= low) & (held <= high) & (held != 0.0)
    return torch.where(inside, torch.full_like(edge, float("nan")), edge)


class _Member(nn.Module):
    """One network: optional recurrent layer, hidden layers, centre and half width of the band per slot."""

    def __init__(
        self,
        n_inputs: int,
        layers: Any,
        memory: int,
        beliefs: int,
        slots: int,
        activation: Any,
        start_width: float,
        start: float,
    ):
        super().__init__()
        self.memory = memory
        self.recurrent = nn.GRU(n_inputs, memory, batch_first=True) if memory else None
        self.believe = nn.Linear(memory, beliefs) if beliefs else None
        width = n_inputs + (beliefs or memory)
        parts: list[nn.Module] = []
        for size in layers:
            parts += [nn.Linear(width, int(size)), activation()]
            width = int(size)
        self.body = nn.Sequential(*parts)
        self.head = nn.Linear(width, 2 * slots)
        with torch.no_grad():
            # A wide initial band around zero would never trade, and so never learn.
            self.head.bias[:slots] = start
            self.head.weight[slots:] = 0.0
            self.head.bias[slots:] = float(np.log(np.expm1(_STEEP * start_width))) / _STEEP

    def forward(self, scaled: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Edges (b, t, slots) on the scale where +-1 are the bounds, next state (b, memory), logits of beliefs."""
        after, logits = scaled.new_zeros(scaled.shape[0], self.memory), scaled.new_zeros(0)
        if self.recurrent is not None:
            before = after if state is None else state
            remembered, last = self.recurrent(scaled, before[None].contiguous())
            if self.believe is not None:
                logits = self.believe(remembered)
                # The gradient of growth is noisy: only the regimes train the recurrent layer.
                remembered = torch.softmax(logits.detach(), dim=-1)
            scaled, after = torch.cat([scaled, remembered], dim=-1), last[0]
        centre, width = self.head(self.body(scaled)).chunk(2, dim=-1)
        half = nn.functional.softplus(width, beta=_STEEP)
        return centre - half, centre + half, after, logits

    def regime_layers(self) -> list[nn.Module]:
        """The layers trained on regimes, if any."""
        return [] if self.believe is None else [self.recurrent, self.believe]
