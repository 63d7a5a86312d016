"""A bundle as a policy of the simulator: on any market, contract and period that has its columns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gearing.exchange.observing import ACCOUNT_COLUMNS, POSITION_COLUMNS
from gearing.export.bundle.files import POLICY, BundleError, read_bundle
from gearing.export.bundle.network import Network, checked_numbers, shaped_numbers
from gearing.export.deciding.targets import check_factors, has_band
from gearing.export.runtime import Bundle
from gearing.features import FeatureTable
from gearing.policies.registry import make_rule
from gearing.simulation.actions import TierScheme
from gearing.simulation.simulator import Simulator

# What a bundle was made for; a simulation may differ in each.
_SETTINGS = (
    "max_leverage", "margin_mode", "margin_share", "decision_interval", "rebalance", "sizing", "controls",
)  # fmt: skip


class BundlePolicy:
    """The networks and the rule of a bundle behind the `Policy` protocol and its hooks.

    Its forecast columns are those of the bundle's own forecasters: fitted once, on the data of training.

    Parameters
    ----------
    bundle : Bundle

    Attributes
    ----------
    settings : mapping
        Fields of `gearing.SimulationConfig` that the bundle was made for; its risk controls are among them.
    """

    action_scheme = "target"

    def __init__(self, bundle: Bundle):
        self.folder, self.manifest, self.digest = bundle.folder, bundle.manifest, bundle.digest
        self._networks: dict[str, Network] = {}
        about = self.manifest
        if about.signals:
            raise BundleError(
                f"{self.folder} reads {', '.join(about.signals)}, which is given with the bars and not computed; a "
                "back-test cannot give it."
            )
        made = {spec.column for spec in about.forecasts}
        inputs = [name for spec in about.forecasts for name in spec.inputs]
        columns = [name for name in about.columns if name not in made]
        self.required_columns = tuple(dict.fromkeys([*columns, *inputs]))
        self._rule = None if about.rule is None else make_rule(about.rule)
        self._state = about.policy.get("state")
        levels = about.policy.get("masked_levels")
        self.masked = levels is not None
        self.scheme = TierScheme(float(max(levels)), tuple(levels)) if levels is not None else None
        config = about.config
        self.settings = {name: getattr(config, name) for name in _SETTINGS} | {"direction": config.direction}
        if isinstance(config.margin_share, tuple | list) and len(config.margin_share) == 1:
            self.settings["margin_share"] = config.margin_share[0]

    @property
    def recurrent(self) -> bool:
        """Whether its network carries a state from decision to decision."""
        return self._state is not None

    def __repr__(self) -> str:
        return f"BundlePolicy({self.manifest.name}, {self.folder}, digest {self.digest[:12]})"

    def join(self, table: FeatureTable) -> FeatureTable:
        """The table with the forecasts of the bundle's own forecasters; row k is known at the close of bar k."""
        for spec in self.manifest.forecasts:
            rows = np.stack([table.column(name) for name in spec.inputs], axis=2).astype(np.float32)
            values = np.full(rows.shape[:2], np.nan)
            known = np.isfinite(rows).all(axis=2)
            found = self._network(spec.file).run({"X": np.ascontiguousarray(rows[known])})
            variance = checked_numbers(found[0].ravel(), (int(known.sum()),), f"the forecast {spec.column!r}")
            if (variance < 0.0).any():
                raise BundleError(f"the forecast {spec.column!r} of {self.folder} is a negative variance.")
            volatility = np.sqrt(variance * spec.per_year)
            values[known] = np.clip(volatility, spec.lower, spec.upper)
            table = table.join(spec.column, values, lower=spec.lower, upper=spec.upper)
        return table

    def precomputed(self, simulator: Simulator, rows: np.ndarray) -> Any:
        """This policy for a simulation: signed leverage where the side is free, else the size on the bundle's side."""
        del rows
        direction, own = simulator.config.direction, self.manifest.config.direction
        self._check_fits(simulator)
        if direction == "free":
            return self
        if direction != own:
            raise ValueError(
                f"{self.folder} trades {own}, and the simulation {direction}; write decision.direction={own}."
            )
        return _Sized(self)

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Any]:
        """Signed target leverage (n_accounts, n_contracts), and the network's next state (parts, n_accounts, width)."""
        del deterministic
        output = np.ones((len(observation.array), len(self.manifest.symbols)))
        if self.manifest.kind != "rule":
            output, state = self._answered(observation, state, episode_start, action_masks)
        if self.manifest.kind == "network":
            return output, state
        assert self._rule is not None
        leverage = np.asarray(self._rule.predict(observation, deterministic=True)[0], np.float64)
        if self.manifest.kind == "residual":  # the network's output is a factor of its base rule
            check_factors(output.ravel(), str(self.folder / POLICY))
            most = self.manifest.config.max_leverage
            leverage = np.clip(output * leverage, -most, most)
        return leverage * self.side(observation), state

    def side(self, observation: Any) -> Any:
        """Factor that gives a size the bundle's side: 1, -1, or the signal."""
        config = self.manifest.config
        if config.signal_column is not None:
            return np.asarray(observation[config.signal_column], np.float64)
        return -1.0 if config.direction == "short" else 1.0

    def _answered(
        self, observation: Any, state: Any, episode_start: np.ndarray | None, masks: np.ndarray | None
    ) -> tuple[np.ndarray, Any]:
        """Output of the network for all accounts, and its next state."""
        inputs = {"observation": self._arranged(observation)}
        if self._state is not None:
            inputs["state"] = self._before(len(observation.array), state, episode_start)
        if self.scheme is not None:
            every = (len(observation.array), len(self.manifest.symbols) * self.scheme.n_choices)
            inputs["allowed"] = np.ones(every, np.bool_) if masks is None else np.asarray(masks, np.bool_)
        found = self._network(POLICY).run(inputs)
        shape = (len(observation.array), len(self.manifest.symbols))
        what = f"the answer of {self.folder / POLICY}"
        checked = shaped_numbers if has_band(self.manifest) else checked_numbers  # NaN holds inside a band
        after = found[-1] if self._state is not None else None
        return checked(found[0], shape, what), after

    def _before(self, n: int, state: Any, episode_start: np.ndarray | None) -> np.ndarray:
        assert self._state is not None
        parts, width = self._state
        if state is None:
            return np.zeros((parts, n, width), np.float32)
        runs = np.ones(n, bool) if episode_start is None else ~np.asarray(episode_start, bool)
        return np.asarray(state, np.float32) * runs[:, None].astype(np.float32)

    def _arranged(self, observation: Any) -> np.ndarray:
        """The observation in the order of the bundle, contract by contract; contracts are matched by their order."""
        n = len(observation.array)
        market = np.stack([observation[name] for name in self.manifest.columns], axis=2).reshape(n, -1)
        positions = np.stack([observation[name] for name in POSITION_COLUMNS], axis=2).reshape(n, -1)
        account = [observation[name] for name in ACCOUNT_COLUMNS]
        return np.concatenate([market, positions, *account], axis=1).astype(np.float32)

    def _check_fits(self, simulator: Simulator) -> None:
        wanted, given = len(self.manifest.symbols), len(simulator.slots)
        if wanted != given:
            raise ValueError(
                f"{self.folder} decides for {wanted} contract{'s' if wanted > 1 else ''} "
                f"({', '.join(self.manifest.symbols)}), and the market has {given}; name as many."
            )

    def _network(self, file: str) -> Network:
        if file not in self._networks:
            content = read_bundle(self.folder).files[file]
            self._networks[file] = Network(content, str(self.folder / file))
        return self._networks[file]

    def __deepcopy__(self, memo: Mapping[int, Any]) -> BundlePolicy:
        return self  # it never changes, and a network's session cannot be copied

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (str(self.folder), self.digest)


class _Sized:
    """A bundle's policy without its side, which the simulation gives."""

    action_scheme = "target"

    def __init__(self, policy: BundlePolicy):
        self.policy, self.required_columns = policy, policy.required_columns
        self.masked, self.scheme = policy.masked, policy.scheme

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False, **masks: Any
    ) -> tuple[np.ndarray, Any]:  # fmt: skip
        """Size of the target leverage."""
        signed, state = self.policy.predict(observation, state, episode_start, deterministic, **masks)
        side = np.broadcast_to(self.policy.side(observation), signed.shape)
        sized = np.divide(signed, side, out=np.zeros_like(signed), where=side != 0.0)
        return np.where(np.isnan(signed), np.nan, sized), state


def _reopened(folder: str, digest: str) -> BundlePolicy:
    return BundlePolicy(Bundle(Path(folder), digest=digest))


def outside_training(policy: BundlePolicy, table: FeatureTable) -> list[str]:
    """How much of a table lies outside what the bundle saw in training, in words; nothing where all lies inside.

    Parameters
    ----------
    table : FeatureTable
        Of the market that it is played on, the bundle's forecasts included.
    """
    about = policy.manifest
    if about.seen is None:
        return ["the bundle does not say what it saw in training"]
    values = np.stack([table.column(name) for name in about.columns], axis=2).astype(np.float64)
    rows = values.reshape(-1, values.shape[2])
    rows = rows[np.isfinite(rows).all(axis=1)]
    low, high = np.asarray(about.seen.low), np.asarray(about.seen.high)
    beyond = (rows < low) | (rows > high)
    notes = [
        f"{name}: {beyond[:, k].mean():.1%} of the bars outside what was seen in training ({low[k]:.4g} to "
        f"{high[k]:.4g}; here {rows[:, k].min():.4g} to {rows[:, k].max():.4g})"
        for k, name in enumerate(about.columns)
        if beyond[:, k].any()
    ]
    z = (rows - about.seen.centre) / np.asarray(about.seen.scale)
    distance = np.sqrt(np.maximum(0.0, np.einsum("ij,jk,ik->i", z, np.asarray(about.seen.inverse), z)))
    far = float((distance > about.seen.largest).mean())
    if far:
        notes.append(
            f"the columns together: {far:.1%} of the bars farther from the mean than any in training"
        )
    return notes


def overlap_with_training(policy: BundlePolicy, symbols: tuple[str, ...], table: FeatureTable) -> list[str]:
    """Says that a market holds bars of the training of the same contracts: its result is not out of sample."""
    about = policy.manifest
    if about.seen is None or about.kind == "rule" or not set(symbols) & set(about.symbols):
        return []  # a rule is not trained
    first, last = (np.datetime64(moment, "ms") for moment in about.seen.span)
    if table.open_time[0] >= last or table.close_time[-1] <= first:
        return []
    return [
        f"not out of sample: the bundle was trained on {str(first)[:10]} to {str(last)[:10]} of these contracts"
    ]
