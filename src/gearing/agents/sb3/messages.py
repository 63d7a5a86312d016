"""What stable-baselines3 warns of when an algorithm is made, once in a process and in one line."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from gearing.agents.settings import AgentSettings

_TRUNCATED = "truncated mini-batch"  # in the warning of PPO and TRPO
_logger = logging.getLogger(__name__)


@contextmanager
def in_one_line(settings: AgentSettings) -> Iterator[None]:
    """Log the warnings of the block as messages that name the settings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in (one for one in caught if issubclass(one.category, UserWarning)):
        text = " ".join(str(warning.message).split())
        _log(f"{settings.algorithm}: {_about_batches(settings) if _TRUNCATED in text else text}")


def _about_batches(settings: AgentSettings) -> str:
    """Batches that do not divide an update's decisions."""
    steps, size = int(settings.parameters["n_steps"]), int(settings.parameters["batch_size"])
    decisions = steps * settings.n_accounts
    return (
        f"batch_size {size:,} does not divide the {decisions:,} decisions of an update (n_steps {steps} x n_accounts "
        f"{settings.n_accounts}), so the last batch of each pass has {decisions % size:,}. Choose a divisor for equal "
        "batches."
    )


@cache  # trainings of one study have the same to say
def _log(text: str) -> None:
    _logger.warning(text)
