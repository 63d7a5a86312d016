"""A learned policy as one ONNX graph, including scaling, action mapping and direction.

The graph of a recurrent policy takes its state as well and returns the next one. That of a masked policy takes the
choices that the margin tiers allow, computed by the runtime.

A residual policy's graph returns the factor of its base rule. The manifest holds the rule's name and parameters, and
the runtime evaluates it with the same code as training.
"""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gearing.agents.policy.learned import LearnedPolicy
from gearing.agents.policy.networks import mode_of
from gearing.agents.policy.scaling import column_places
from gearing.export.bundle.files import BundleError
from gearing.simulation.actions import ResidualScheme
from gearing.simulation.config import SimulationConfig
from gearing.simulation.observation import ObservationLayout

OPSET = 20


class TargetLeverage(nn.Module):
    """Raw observation (n, n_columns) float32 to signed target leverage (n, n_slots) float32; NaN holds.

    A residual policy returns the factor of its base rule, 0 or more. A recurrent policy takes its state
    (parts, n, width) too, zeros at first, and returns a pair, the second its next state. A masked policy also takes
    its allowed choices (n, n_slots * n_choices) bool.
    """

    def __init__(self, policy: LearnedPolicy, layout: ObservationLayout, config: SimulationConfig):
        super().__init__()
        names = list(layout.names)
        self.register_buffer("order", torch.tensor([names.index(name) for name in policy.description.names]))
        self.mode = mode_of(policy)
        self.state_shape = getattr(self.mode, "shape", None)  # parts and width of a recurrent policy's state
        self.masked = policy.masked
        self.direction = config.direction
        self.most = float(config.max_leverage)
        self.is_target = policy.action_scheme == "target"
        self.continuous = self.is_target or policy.scheme.n_choices is None
        self.residual = isinstance(policy.scheme, ResidualScheme)
        if not self.continuous:
            self.register_buffer("levels", torch.tensor(policy.scheme.magnitudes, dtype=torch.float32))
        if config.signal_column is not None:
            self.register_buffer("signal", torch.tensor(column_places(layout, config.signal_column)))

    def forward(self, observation: Tensor, extra: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        """Signed target leverage, or the factor of the base rule; a recurrent policy also returns its next state.

        ``extra`` is a recurrent policy's state, or a masked one's allowed choices.
        """
        raw = torch.index_select(observation, 1, self.order)
        if self.state_shape is None:
            action = self.mode(raw, extra) if self.masked else self.mode(raw)
            return self._leverage(action, observation)
        action, after = self.mode(raw, extra)
        return self._leverage(action, observation), after

    def _leverage(self, action: Tensor, observation: Tensor) -> Tensor:
        if self.residual:
            return 1.0 + action
        leverage = torch.clamp(self._magnitude(action), -self.most, self.most)
        if self.direction == "short":
            return -leverage
        if self.direction.startswith("signal:"):
            return leverage * torch.index_select(observation, 1, self.signal)
        return leverage

    def _magnitude(self, action: Tensor) -> Tensor:
        if self.is_target:
            return action
        if not self.continuous:
            return self.levels[action]
        share = action if self.direction == "free" else 0.5 * (action + 1.0)
        return share * self.most


class Ensemble(nn.Module):
    """The mean of the answers of several policies, for example of the seeds of a study.

    A member that holds (NaN) counts with the leverage that is held; where all hold, so does the ensemble. States of
    recurrent members follow each other in the first axis.
    """

    def __init__(
        self,
        members: Sequence[TargetLeverage],
        layout: ObservationLayout,
        shares: Sequence[float],
    ):
        super().__init__()
        self.members = nn.ModuleList(members)
        first = members[0]
        self.masked, self.residual = first.masked, first.residual
        self.parts = 0 if first.state_shape is None else first.state_shape[0]
        width = 0 if first.state_shape is None else first.state_shape[1]
        self.state_shape = None if first.state_shape is None else (self.parts * len(members), width)
        held = torch.tensor(column_places(layout, "effective_leverage"))
        self.register_buffer("held", held)
        self.register_buffer("shares", torch.tensor(list(shares), dtype=torch.float32))

    def forward(self, observation: Tensor, extra: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        """As those of `TargetLeverage`."""
        answers, states = [], []
        for k, member in enumerate(self.members):
            own = extra
            if self.state_shape is not None and extra is not None:
                own = extra[k * self.parts : (k + 1) * self.parts]
            answer = member(observation, own)
            if self.state_shape is not None:
                answer, after = answer
                states.append(after)
            answers.append(answer)
        mean = self._mean(torch.stack(answers), observation)
        return (mean, torch.cat(states)) if states else mean

    def _mean(self, answers: Tensor, observation: Tensor) -> Tensor:
        held = torch.index_select(observation, 1, self.held) / self.shares
        holds = torch.isnan(answers)
        mean = torch.where(holds, held.unsqueeze(0), answers).mean(0)
        return torch.where(holds.all(0), torch.full_like(mean, float("nan")), mean)


def write_policy_graph(
    policies: Sequence[LearnedPolicy], layout: ObservationLayout, config: SimulationConfig, path: Path
) -> tuple[int, int] | None:
    """Write the graph of a policy, or of the mean of several; returns parts and width of a recurrent policy's state.

    It takes any number of rows.

    Input ``observation``, and ``state`` of a recurrent policy or ``allowed`` of a masked one; output
    ``target_leverage``, or ``factor`` where the policy scales a base rule, and ``next_state``.
    """
    members = [TargetLeverage(one, layout, config) for one in policies]
    policy = policies[0]
    graph: Any = (
        members[0] if len(members) == 1 else Ensemble(members, layout, config.shares(len(layout.symbols)))
    )
    graph = graph.eval()
    outputs, n = ["factor" if graph.residual else "target_leverage"], torch.export.Dim("n")
    inputs = {"observation": (torch.zeros(2, layout.size), {0: n})}
    if graph.masked:
        allowed = torch.ones(2, len(policy.description.slots) * policy.scheme.n_choices, dtype=torch.bool)
        inputs["allowed"] = (allowed, {0: n})
    if graph.state_shape is not None:
        parts, width = graph.state_shape
        inputs["state"] = (torch.zeros(parts, 2, width), {1: n})
        outputs.append("next_state")
    _export(graph, inputs, path, outputs)
    return graph.state_shape


def _export(graph: nn.Module, inputs: dict[str, tuple[Tensor, Any]], path: Path, outputs: list[str]) -> None:
    """``inputs``: name to an example and its axes of any length."""
    logger, level = logging.getLogger("torch.onnx"), logging.getLogger("torch.onnx").level
    logger.setLevel(logging.ERROR)  # no warning about missing torchvision
    examples, shapes = zip(*inputs.values(), strict=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                graph, examples, str(path), input_names=list(inputs), output_names=outputs,
                dynamo=True, external_data=False, opset_version=OPSET, verbose=False, dynamic_shapes=shapes,
            )  # fmt: skip
    except Exception as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise BundleError(
            f"{path.name}: torch cannot write this network as a graph ({reason[:200]}); export another algorithm's "
            "agent."
        ) from error
    finally:
        logger.setLevel(level)
