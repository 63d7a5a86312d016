"""The policy of a bundle: its networks and its rule, from an observation to signed target leverages."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from gearing.export.account.state import AccountState
from gearing.export.bundle.files import MANIFEST, POLICY, BundleError
from gearing.export.bundle.manifest import ForecastSpec, Manifest
from gearing.export.bundle.network import Network, checked_numbers, shaped_numbers
from gearing.export.deciding.targets import check_factors, has_band
from gearing.policies.registry import make_rule
from gearing.simulation.actions import allowed_levels, level_caps
from gearing.simulation.observation import Observation, ObservationLayout


class Policy:
    """Networks and rule of a bundle.

    Parameters
    ----------
    manifest : Manifest
    files : mapping of name to bytes
        Verified contents.
    folder : Path
        For messages.
    """

    def __init__(self, manifest: Manifest, files: Mapping[str, bytes], folder: Path):
        self.manifest, self.folder = manifest, folder
        self._files, self._folder, self._where = files, str(folder), str(folder / POLICY)
        self._networks: dict[str, Network] = {}
        needed = [spec.file for spec in manifest.forecasts]
        needed += [POLICY] if manifest.kind != "rule" else []
        if missing := [name for name in needed if name not in files]:
            raise BundleError(f"{folder} lacks {missing[0]}, which its manifest names; export it again.")

    @cached_property
    def layout(self) -> ObservationLayout:
        """Layout of the observation."""
        about = self.manifest
        low, high = (np.array(v, np.float32) for v in (about.low, about.high))
        return ObservationLayout(
            about.symbols, about.symbols, about.columns, ("",) * len(about.columns), low, high
        )

    @property
    def state_shape(self) -> tuple[int, int, int] | None:
        """Shape of a recurrent network's state for one account."""
        shape = self.manifest.policy.get("state")
        return None if shape is None else (shape[0], 1, shape[1])

    def forecast(self, spec: ForecastSpec, rows: np.ndarray) -> np.ndarray:
        """Annualised volatility of every contract (n_contracts,) float32.

        Parameters
        ----------
        rows : (n_contracts, n_inputs) float32
            Features of the forecast at the deciding close.
        """
        outputs = self._network(spec.file).run({"X": np.ascontiguousarray(rows, np.float32)})
        what = f"the forecast {spec.column!r} of {self._folder}/{spec.file}"
        variance = checked_numbers(outputs[0].ravel(), (len(rows),), what)
        if (variance < 0.0).any():
            raise BundleError(
                f"{what} is a negative variance, {variance.min():g}; do not use this bundle.", "answer"
            )
        volatility = np.sqrt(variance * spec.per_year)
        return np.minimum(np.maximum(volatility, spec.lower), spec.upper).astype(np.float32)

    def targets(
        self, observation: Observation, network_state: np.ndarray | None, state: AccountState
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Signed target leverage per contract, and the next state of a recurrent network."""
        return self._policy(observation, self._extra_inputs(network_state, state))

    def _extra_inputs(self, network_state: np.ndarray | None, state: AccountState) -> dict[str, np.ndarray]:
        """Further inputs of a network: its state, or the choices that the margin tiers allow."""
        if network_state is not None:
            return {"state": network_state}
        known = self.manifest.policy.get("masked_levels")
        if known is None:
            return {}
        levels, equity, allowed = np.array(known), state.equity, []
        for j in range(len(state.names)):
            row = state.rows[0, j]
            caps = level_caps(levels, state.tiers, int(row.tiers_first), int(row.tiers_last))
            allowed.append(allowed_levels(levels, caps, state.contracts[j].margin_share * equity))
        return {"allowed": np.concatenate(allowed)[None, :]}

    def _policy(
        self, observation: Observation, extra: dict[str, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Signed target leverage per contract, and the next state of a recurrent network."""
        output, state = np.ones((1, len(self.manifest.symbols))), None
        if self.manifest.kind != "rule":
            output, state = self._answer(observation, extra)
        if self.manifest.kind == "network":
            return output[0], state
        leverage = np.asarray(self._rule.predict(observation, deterministic=True)[0], np.float64)
        if self.manifest.kind == "residual":  # the network's output is a factor of its base rule
            check_factors(output, self._where)
            most = self.manifest.config.max_leverage
            leverage = np.clip(output * leverage, -most, most)
        return self._directed(leverage, observation)[0], state

    def _answer(
        self, observation: Observation, extra: dict[str, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Output (1, n_contracts) of the network, and its next state if it has one."""
        found = self._network(POLICY).run({"observation": observation.array, **extra})
        shape, what = (1, len(self.manifest.symbols)), f"the answer of {self._where}"
        state = None
        if "state" in extra:
            state = found[-1]
            checked_numbers(state, extra["state"].shape, f"the next state of {self._where}")
        if not has_band(self.manifest):
            return checked_numbers(found[0], shape, what), state
        output = shaped_numbers(found[0], shape, what)
        if np.isnan(output).any():  # inside the band; without a position there is an answer to check
            flat = observation.array.copy()
            flat[:, observation.layout.locate("effective_leverage")] = 0.0
            checked_numbers(self._network(POLICY).run({"observation": flat, **extra})[0], shape, what)
        return output, state

    def _directed(self, leverage: np.ndarray, observation: Observation) -> np.ndarray:
        """A rule's magnitude with the side of the bundle's direction; networks include it."""
        config = self.manifest.config
        if config.signal_column is not None:
            return leverage * observation[config.signal_column]
        return -leverage if config.direction == "short" else leverage

    @cached_property
    def _rule(self) -> Any:
        if self.manifest.rule is None:
            raise BundleError(f"{self.folder / MANIFEST} names no rule; export the bundle again.")
        return make_rule(self.manifest.rule)

    def _network(self, file: str) -> Network:
        if file not in self._networks:
            self._networks[file] = Network(self._files[file], str(self.folder / file))
        return self._networks[file]
