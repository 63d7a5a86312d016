"""Build a Simulator and its spaces from the arguments of ``gymnasium.make``."""

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding

from gearing.features import FeatureSet, FeatureTable
from gearing.market.data import MarketData, market_list
from gearing.names import check_names, shown
from gearing.simulation.actions import TierScheme, action_names
from gearing.simulation.config import SimulationConfig
from gearing.simulation.simulator import Simulator

# Fields of a step that ``info`` carries, all but its last two in order;
# price_pnl + fees + funding + liquidation = equity - equity_before.
INFO = (
    "equity_before", "equity", "log_growth", "price_pnl", "fees", "funding", "liquidation", "turnover",
    "lowest", "highest", "drawdown", "liquidations", "refused", "capped",
)  # fmt: skip


ARGUMENTS = (
    "market",
    "features",
    "render_mode",
    "oracle_growth",
    "n_threads",
    "num_envs",
    "autoreset_mode",
    "copy",
    "simulator",
)
_SETTINGS = tuple(SimulationConfig.__dataclass_fields__)


def build_simulator(
    market: MarketData | Sequence[MarketData] | None,
    features: FeatureTable | Sequence[FeatureTable] | FeatureSet | Sequence[str] | None,
    n_accounts: int,
    n_threads: int,
    settings: dict[str, Any],
) -> Simulator:
    """Simulator behind an env; without a market, two years of synthetic market B.

    Raises
    ------
    TypeError
        For an unknown setting; the message names the nearest.
    """
    kind: type[Simulator] = settings.pop("simulator", Simulator)
    check_names("no argument or simulation setting", settings, (*_SETTINGS, *ARGUMENTS), TypeError)
    for name in settings:
        if name in ARGUMENTS:
            raise TypeError(f"this environment does not take {name!r}; that of gymnasium.make_vec does.")
    if market is None:
        from gearing.market.synthetic.generators import synthetic_market

        market = synthetic_market("market-b", seed=0, years=2)
    markets = market_list(market)
    config = SimulationConfig(**settings)
    return kind(markets, feature_tables(markets, features), config, n_accounts, 0, n_threads)


def feature_tables(markets: list[MarketData], features: Any) -> list[FeatureTable] | None:
    """Feature tables: given tables unchanged, a set or names computed on each market."""
    if features is None or isinstance(features, FeatureTable):
        return features if features is None else [features]
    if not isinstance(features, FeatureSet | str) and isinstance(features, Iterable):
        features = list(features)
        if features and all(isinstance(f, FeatureTable) for f in features):
            return features
    chosen = features if isinstance(features, FeatureSet) else FeatureSet(features)
    return chosen.compute_all(markets)


def oracle_totals(growth: np.ndarray | None, simulator: Simulator) -> np.ndarray | None:
    """Growth of an oracle before each row (n_rows + 1,): differences are its growth between rows, for regret."""
    if growth is None:
        return None
    array = np.asarray(growth)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"oracle_growth is {shown(growth)}; it must be an array with a number per bar.")
    if len(simulator.markets) != 1 or array.shape != (len(simulator.tape.rows),):
        raise ValueError(
            f"oracle_growth has shape {array.shape}; it must have one value per bar of a single market, "
            f"({len(simulator.tape.rows)},) here."
        )
    if not np.isfinite(array).all():
        raise ValueError(f"oracle_growth[{int((~np.isfinite(array)).argmax())}] is not finite.")
    return np.concatenate([[0.0], np.cumsum(array)])


class EpisodeOverError(ResetNeeded, AssertionError):
    """A step of an account whose episode is over; Gymnasium's SyncVectorEnv raises the second of its bases."""


def require_begun(simulator: Simulator) -> None:
    """Refuse a call that needs an episode.

    Raises
    ------
    gymnasium.error.ResetNeeded
        If an account was never reset.
    """
    if not simulator.ready:
        raise ResetNeeded("an account has not begun an episode: call reset() before anything else.")


def require_running(over: np.ndarray) -> None:
    """Refuse to step accounts whose episode is over.

    Raises
    ------
    EpisodeOverError
        Naming them.
    """
    if over.any():
        which = np.flatnonzero(over)
        raise EpisodeOverError(
            f"the episode of account {', '.join(map(str, which[:5]))}{' ...' if which.size > 5 else ''} is over "
            "(terminated or truncated): reset it before it steps again."
        )


def account_seeds(env: Any, seed: Any, mask: np.ndarray) -> list[int | None]:
    """Seeds of a Gymnasium env's accounts in a reset; the first episode is random unless seeded, by its convention.

    Raises
    ------
    gymnasium.error.Error
        If a seed is negative or no number.
    ValueError
        If a list has another number of seeds than there are accounts.
    """
    seeds = seed_list(seed, env.simulator.n_accounts)
    begun = env.simulator.accounts.start_equity > 0.0
    for i in np.flatnonzero(mask).tolist():
        if seeds[i] is None and not begun[i]:
            seeds[i] = int(env.np_random.integers(2**31))
    check_seeds([seeds[i] for i in np.flatnonzero(mask)])
    return seeds


def check_seeds(seeds: Iterable[Any]) -> None:
    """Refuse seeds that are negative or no whole numbers, as Gymnasium does.

    Raises
    ------
    gymnasium.error.Error
    """
    for seed in seeds:
        if seed is not None and (not isinstance(seed, int | np.integer) or seed < 0):
            seeding.np_random(seed)  # Gymnasium's own refusal


def seed_list(seed: Any, count: int) -> list[Any]:
    """A seed or None for each of ``count`` accounts: ``seed + i``, or the i-th of a list.

    Raises
    ------
    TypeError
        For anything but a whole number, a list and None.
    ValueError
        If a list has another number of seeds than there are accounts.
    """
    if seed is None or isinstance(seed, int | np.integer):
        return [None if seed is None else int(seed) + i for i in range(count)]
    if isinstance(seed, str) or not isinstance(seed, Sequence | np.ndarray) or np.ndim(seed) == 0:
        raise TypeError(
            f"the seed is {shown(seed)}; it must be a whole number, 0 or more, or a list with one for each account."
        )
    if len(seed) != count:
        raise ValueError(
            f"{len(seed)} seeds for {count} accounts; give one number, or a list with one for each."
        )
    return list(seed)


def check_options(options: Any, known: Sequence[str] = ()) -> None:
    """Refuse options of a reset that would not be read.

    Raises
    ------
    TypeError
        If they are no dictionary.
    ValueError
        For an option that is not ``known``.
    """
    if options is None or isinstance(options, Mapping):
        unread = [name for name in options or () if name not in known]
        if not unread:
            return
        takes = f"only {', '.join(known)}" if known else "no options"
        raise ValueError(
            f"reset() takes {takes}, given {', '.join(map(shown, unread))}: what an episode is made of are arguments "
            "of the environment, such as start and episode_length."
        )
    raise TypeError(f"options of reset() are {shown(options)}; they must be a dictionary or None.")


def batch_info(values: Mapping[str, np.ndarray], mask: np.ndarray) -> dict[str, Any]:
    """Values (num_envs,) of the accounts in ``mask`` as Gymnasium's vector environments give them.

    Each key comes with the mask of the accounts that have it, under the name with a leading "_"; the others have zero.
    """
    info: dict[str, Any] = {}
    if not mask.any():
        return info
    whole = mask.all()
    for name, array in values.items():
        info[name] = array if whole else np.where(mask, array, np.zeros((), array.dtype))
        info[f"_{name}"] = mask.copy()
    return info


def spaces_of(simulator: Simulator) -> tuple[spaces.Box, spaces.Space]:
    """Observations, bounded per column, and actions."""
    layout, config = simulator.layout, simulator.config
    if isinstance(simulator.scheme, TierScheme) and (config.direction, config.position_mode) == (
        "free",
        "one_way",
    ):
        raise ValueError("action 'tiers' has no side; use direction long, short or signal:COLUMN.")
    observations = spaces.Box(layout.low, layout.high, dtype=np.float32)
    count = len(action_names(simulator.scheme, simulator.slots))
    return observations, action_space(count, simulator.scheme.n_choices)


def action_space(slots: int, choices: int | None) -> spaces.Space:
    """Normalised actions: Box(-1, 1) per slot, or Discrete (several slots: MultiDiscrete)."""
    if choices is None:
        return spaces.Box(-1.0, 1.0, (slots,), np.float32)
    return spaces.Discrete(choices) if slots == 1 else spaces.MultiDiscrete([choices] * slots)


def shaped_actions(simulator: Simulator, actions: Any, running: np.ndarray | None = None) -> np.ndarray:
    """Actions as (n_accounts, n_actions); those of accounts that are not ``running`` are not read, and become 0.

    There is an action for each position, or what the scheme names (`gearing.simulation.actions.action_names`).

    Raises
    ------
    ValueError
        If they have another shape, a continuous action is NaN or outside [-1, 1], or a choice does not exist.
    TypeError
        If they are no numbers, or choices are no whole numbers.
    """
    names = action_names(simulator.scheme, simulator.slots)
    count = len(names)
    choices, shape = simulator.scheme.n_choices, (simulator.n_accounts, count)
    array = _numbers(actions, choices)
    accepted: set[tuple[int, ...]] = {shape}
    if shape[1] == 1:
        accepted.add(shape[:1])
    if shape[0] == 1:
        accepted |= {shape[1:]} | ({()} if shape[1] == 1 else set())
    if array.shape not in accepted:
        wanted = shape[1:] if shape[0] == 1 else shape if choices is None or shape[1] > 1 else shape[:1]
        raise ValueError(
            f"the action has shape {array.shape}; it must have shape {wanted}: a number for "
            f"{'each of ' if count > 1 else ''}{', '.join(names)}{'' if shape[0] == 1 else ' of each account'}."
        )
    shaped = array.reshape(shape)
    if running is not None and not running.all():
        shaped = np.where(running[:, None], shaped, np.zeros((), shaped.dtype))
    if choices is None:
        largest = np.abs(shaped).max()
        if not largest <= 1.0 + 1e-6:
            bad = shaped[~(np.abs(shaped) <= 1.0 + 1e-6)][0]
            raise ValueError(f"an action is {bad:g}; actions are in [-1, 1]: clip them to the action space.")
        if largest > 1.0:  # rounding of single precision
            return np.clip(shaped, -1.0, 1.0)
    elif shaped.min() < 0 or shaped.max() >= choices:
        bad = shaped[(shaped < 0) | (shaped >= choices)][0]
        raise ValueError(f"an action is {bad}; the choices are 0 to {choices - 1}.")
    return shaped


def _numbers(actions: Any, choices: int | None) -> np.ndarray:
    """Actions as float64, or as the integers that they are where there are choices."""
    try:
        array = np.asarray(actions)
    except ValueError:  # rows of different lengths
        array = np.asarray(None)
    if array.dtype == object and all(_is_number(value) for value in array.flat):
        array = np.array(array.tolist())
    if array.dtype.kind not in ("fiu" if choices is None else "iu"):
        what = "a number in [-1, 1]" if choices is None else f"a whole number from 0 to {choices - 1}"
        raise TypeError(f"the action is {shown(actions)}; it must be {what} for each position.")
    return array if choices is not None else array.astype(np.float64, copy=False)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
