"""Seed the learning libraries' global generators without changing the caller's."""

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


@contextmanager
def own_randomness(seed: int) -> Iterator[None]:
    """Seed the global generators inside the block and restore the caller's afterwards; one torch thread.

    Two threads are slower than one for small networks, and their sums depend on the machine.
    """
    outside, threads = random_state(), torch.get_num_threads()
    torch.set_num_threads(1)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  stable-baselines3 shuffles with it
    torch.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        set_random_state(outside)


def random_state() -> dict[str, Any]:
    """State of the global generators as tensors and text."""
    version, words, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)  # noqa: NPY002
    return {
        "python": json.dumps([version, list(words), gauss]),
        "numpy": json.dumps([name, np.asarray(keys).tolist(), position, has_gauss, cached]),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Restore a ``random_state``."""
    version, words, gauss = json.loads(state["python"])
    random.setstate((version, tuple(words), gauss))
    name, keys, position, has_gauss, cached = json.loads(state["numpy"])
    np.random.set_state((name, np.array(keys, np.uint32), position, has_gauss, cached))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
