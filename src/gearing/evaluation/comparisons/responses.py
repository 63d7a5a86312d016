"""Responses of a policy: its leverage as one observed column changes and all others stay constant."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gearing.exchange.observing import ACCOUNT_COLUMNS, POSITION_COLUMNS
from gearing.features import FeatureTable
from gearing.simulation.actions import make_scheme
from gearing.simulation.config import SimulationConfig
from gearing.simulation.hooks import hooks_of
from gearing.simulation.observation import Observation, ObservationLayout

# Of an account without a position; other columns are zero.
_FLAT = {"liquidation_distance": 1.0, "free_share": 1.0}


def leverage_response(
    policy: Any,
    table: FeatureTable,
    config: SimulationConfig,
    column: str,
    values: Sequence[float] | np.ndarray,
    at: Mapping[str, float] | None = None,
) -> np.ndarray:
    """Effective leverage that a policy chooses, shape (n_values,), as one column of its observation changes.

    Parameters
    ----------
    policy : Policy
        An agent or a rule, for one contract.
    table : FeatureTable
        Its columns, except those given, are set to their medians.
    config : SimulationConfig
        Direction, margin share and bounds.
    column : str
        A market column, or one of the account such as ``effective_leverage`` or ``margin_ratio``.
    values : array, shape (n_values,)
    at : mapping, optional
        Values of other columns. A flat account is the default.

    Notes
    -----
    Columns move together in a market; with the others constant, a response may be outside the training data.
    """
    if len(table.symbols) != 1:
        raise ValueError(
            f"a response needs one contract, the table has {', '.join(table.symbols)}; select one."
        )
    layout = ObservationLayout.of(table, table.symbols)
    known = (*layout.columns, *POSITION_COLUMNS, *ACCOUNT_COLUMNS)
    for name in (column, *(at or {})):
        if name not in known:
            raise ValueError(f"no column {name!r}; there are {', '.join(known)}.")
    array = np.zeros((len(values), layout.size), np.float32)
    array[:, : len(layout.columns)] = np.median(table.values[table.first_complete :, 0], axis=0)
    for name, value in {**_FLAT, **(at or {})}.items():
        array[:, layout.locate(name)] = value
    place = layout.locate(column)
    array[:, place.start if isinstance(place, slice) else place] = values
    return _effective(policy, Observation(layout, array), config)


def _effective(policy: Any, view: Observation, config: SimulationConfig) -> np.ndarray:
    actions, _ = policy.predict(view, None, np.ones(len(view.array), np.bool_), deterministic=True)
    targets = np.asarray(actions, float)
    if policy.action_scheme != "target":
        scheme = make_scheme(hooks_of(policy).scheme or policy.action_scheme, config.max_leverage)
        targets = scheme.leverage(np.asarray(actions), view, config.direction == "free")
    if config.signal_column is not None:
        targets = targets * view[config.signal_column]
    elif config.direction == "short":
        targets = -targets
    held = view["effective_leverage"].astype(float)
    return np.where(np.isnan(targets), held, config.shares(1)[0] * targets)[:, 0]
