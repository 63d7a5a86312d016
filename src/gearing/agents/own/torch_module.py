"""A torch module as a policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import nn

from gearing.agents.own.columns import read_inputs
from gearing.agents.own.normalisation import read_normalisation
from gearing.agents.own.policy import OwnPolicy, build, meaning
from gearing.agents.policy.extractor import ScaledColumns
from gearing.names import shown


def from_torch(
    module: nn.Module,
    columns: Sequence[str],
    *,
    action: str = "target",
    max_leverage: float | None = None,
    signed: bool = False,
    base: Any = None,
    normalisation: Any = None,
    n_contracts: int = 1,
    state: tuple[int, int] | None = None,
) -> OwnPolicy:
    """A policy from a torch module.

    Parameters
    ----------
    module : torch.nn.Module
        ``module(x)`` takes float32 (n, n_columns) and returns (n, n_contracts). It is put into evaluation mode.
    columns : sequence of str
        Observation columns in the order of its inputs: features, forecasts, account columns. Of several contracts those
        of a contract are "COLUMN[SYMBOL]".
    action : {"target", "leverage", "residual"}
        What it returns: target leverage; an action in [-1, 1], where -1 is flat and 1 is ``max_leverage``; or an
        action in [-1, 1] that scales the rule ``base``, where 0 is the rule itself and 1 twice its leverage.
    max_leverage : float, optional
    signed : bool
        Whether it returns signed leverage, for direction "free"; of action "leverage", -1 is then full short.
    base : rule, or its name and parameters, optional
    normalisation : optional
        Statistics that its inputs are scaled by, as `from_sb3` takes them.
    n_contracts : int
        Number of actions.
    state : (int, int), optional
        Parts and width of a recurrent module's state: ``module(x, state)`` takes zeros (parts, n, width) at the start
        of an episode and returns a pair, the second the next state.

    Returns
    -------
    OwnPolicy
        For backtests, environments, studies, comparisons and bundles.

    Raises
    ------
    TypeError, ValueError
        For arguments that do not fit, and a module that does not return one finite action per contract.
    """
    what = f"the module {type(module).__name__}"
    if not isinstance(module, nn.Module):
        raise TypeError(f"module is {shown(module)}; give a torch.nn.Module; a function: from_callable.")
    if not isinstance(n_contracts, int) or isinstance(n_contracts, bool) or n_contracts < 1:
        raise ValueError(f"n_contracts is {shown(n_contracts)}; give the number of contracts, 1 or more.")
    if action == "tiers":
        raise ValueError(f"{what}: action 'tiers' is of discrete models; return the leverage itself.")
    inputs = read_inputs(columns, n_contracts, what)
    means = meaning(action, what, max_leverage=max_leverage, signed=signed, levels=None, base=base)
    scaling = read_normalisation(normalisation, len(inputs.names))
    policy = build(
        module, inputs, means, "module", scaling=ScaledColumns(**scaling) if scaling else None, state=state,
        source=what,
    )  # fmt: skip
    check_answers(policy, what)
    return policy


def check_answers(policy: OwnPolicy, what: str) -> None:
    """Call a policy's network on two rows of zeros.

    Raises
    ------
    ValueError
        If it fails, or returns no finite action for each contract.
    """
    zeros = np.zeros((2, len(policy.description.names)), np.float32)
    masks = {}
    if policy.masked:
        count = len(policy.description.slots) * policy.scheme.n_choices
        masks["action_masks"] = np.ones((2, count), np.bool_)
    try:
        policy.network.predict(zeros, None, None, True, **masks)
    except Exception as error:  # whatever a user's module raises
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"{what} does not decide on {zeros.shape[1]} columns of zeros: {reason[:400]}"
        ) from error
