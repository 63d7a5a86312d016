"""Where an episode begins: a counter-based draw, so that it depends on nothing but account seed and episode number."""

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mix(x: np.ndarray) -> np.ndarray:
    """SplitMix64 finaliser (Steele, Lea and Flood, 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def account_keys(seeds: np.ndarray) -> np.ndarray:
    """What ``uniform`` makes of account seeds; it stays the same for all episodes."""
    return _mix(np.asarray(seeds, np.int64).astype(np.uint64) * _GOLDEN + _GOLDEN)


def uniform(keys: np.ndarray, episodes: np.ndarray, stream: int) -> np.ndarray:
    """Uniform numbers in [0, 1) of (account, episode, stream), shape of ``keys``.

    The same triple gives the same number whatever the number of accounts or the order of the draws.
    """
    key = _mix(keys + np.asarray(episodes, np.int64).astype(np.uint64) * _GOLDEN)
    key = _mix(key + np.uint64(stream * int(_GOLDEN) % 2**64))
    return (key >> np.uint64(11)).astype(np.float64) * 2.0**-53
