"""The runtime of bundles: target leverage from bars and an account, without the training libraries."""

import os
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from gearing.export.account.solvency import check_solvent
from gearing.export.account.state import AccountState, read_account
from gearing.export.bundle.files import MANIFEST, POLICY, BundleError, read_bundle
from gearing.export.bundle.manifest import ForecastSpec, Manifest
from gearing.export.bundle.network import Network, checked_numbers, shaped_numbers
from gearing.export.deciding.decision import Decision, Order, check_memory, memory_of, read_memory
from gearing.export.deciding.targets import (
    capped,
    check_factors,
    check_targets,
    filled_holds,
    has_band,
    reductions_only,
)
from gearing.export.reading.bars import naming, read_market
from gearing.export.reading.jumps import MAX_JUMP, read_max_jump
from gearing.export.reading.moment import longest_age, read_moment
from gearing.features import FeatureSet, parse_duration
from gearing.market.data import MarketData
from gearing.policies.registry import describe_control, make_rule
from gearing.simulation.actions import allowed_levels, level_caps
from gearing.simulation.controls import Situation, apply_controls
from gearing.simulation.observation import Observation, ObservationLayout


class Bundle:
    """An exported policy that makes decisions.

    Attributes
    ----------
    lookback_bars : int
        Bars required before a decision.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self._files = read_bundle(self.folder)
        self.manifest = Manifest.parse(self._files[MANIFEST], str(self.folder / MANIFEST))
        self.lookback_bars = self.manifest.lookback_bars
        self._networks: dict[str, Network] = {}
        needed = [spec.file for spec in self.manifest.forecasts]
        needed += [POLICY] if self.manifest.kind != "rule" else []
        if missing := [name for name in needed if name not in self._files]:
            raise BundleError(f"{self.folder} lacks {missing[0]}, which its manifest names; export it again.")

    def __repr__(self) -> str:
        about = self.manifest
        names = ", ".join(about.symbols)
        return f"Bundle({about.name} for {names}, every {about.config.decision_interval}, {self.lookback_bars} bars)"

    def decide(
        self,
        bars: Any,
        account: Any,
        funding: Any = None,
        *,
        now: Any = None,
        max_age: str | None = None,
        max_jump: float | str = MAX_JUMP,
        memory: Any = None,
    ) -> Decision:
        """Decide at the last due close before ``now``.

        Parameters
        ----------
        bars : DataFrame, or path of a CSV or Parquet file
            At least ``lookback_bars`` before the decision, up to the newest; columns as in
            :mod:`gearing.export.reading.bars`.
        account : mapping, or path of a JSON file
            As in :mod:`gearing.export.account.state`.
        funding : DataFrame or path, optional
            Settlements over the same span; needed where a feature reads funding.
        now : datetime or "last-bar"
            Moment of the decision, UTC; required. A bar that is not closed by then is left out. "last-bar", for
            back-testing, decides at the end of the bars, however old they are.
        max_age : str, optional
            Longest time from the close of the newest whole bar to ``now``, a duration or a number of bars ("3bar"),
            with a minute of tolerance. Default "1bar": the bar that closed last before ``now`` must be there.
        max_jump : float or "off", optional
            Largest move of a price since the last decision from the close before it, in standard deviations of a bar.
        memory : sequence or path, optional
            ``memory`` of the last decision (or of its JSON), or the JSON file of that decision; for risk controls with
            state and recurrent networks.

        Raises
        ------
        BundleError
            If bars, funding or account cannot be used, the account is in liquidation, or the policy's answer is no
            leverage on the bundle's side; the message says what to do.
        """
        moment = read_moment(now)
        longest_age(max_age, self.manifest.bar)
        read_max_jump(max_jump)
        with naming(bars):
            inputs = read_market(self.manifest, bars, funding, moment, max_age, max_jump)
        market, signals, marks, notes = inputs.market, inputs.signals, inputs.marks, inputs.notes
        if moment is None:
            notes += ["no moment was given: decided as of the last due close, however old"]
        with naming(account):
            state = read_account(account, self.manifest, market)
            near, warnings = check_solvent(state, marks)
        observation = self._observe(market, signals, state)
        with naming(memory):
            control_memory, network_state = self._split_memory(memory)
        wanted, network_state = self._policy(observation, self._extra_inputs(network_state, state))
        check_targets(wanted, self.manifest, observation)
        limited, guards, memories, acted = self._controlled(
            wanted, observation, state, market, control_memory
        )
        memories = memories if network_state is None else (*memories, (network_state,))
        restarted = self._restarted(memories) if memory is None else []
        targets, caps = capped(limited, self.manifest, state)
        targets, reduced = reductions_only(targets, near, state)
        orders, trade_notes = state.trade(targets, guards)
        targets, held = filled_holds(targets, state)
        reasons = (*warnings, *notes, *state.notes, *restarted, *acted, *caps, *reduced, *held, *trade_notes)
        return self._decision(market, state, observation, targets, orders, reasons, memories)

    def _decision(
        self,
        market: MarketData,
        state: AccountState,
        observation: Observation,
        targets: np.ndarray,
        orders: tuple[Order, ...],
        reasons: tuple[str, ...],
        memories: tuple[Any, ...],
    ) -> Decision:
        interval = parse_duration(self.manifest.config.decision_interval)
        return Decision(
            time=market.close_time[-1],
            next_time=market.close_time[-1] + interval.astype("timedelta64[ms]"),
            target_leverage=dict(
                zip(state.names, (targets * state.contracts.margin_share).tolist(), strict=True)
            ),
            effective_leverage=state.effective_leverage(),
            resulting_leverage=state.resulting_leverage(orders),
            policy_leverage=dict(zip(state.names, targets.tolist(), strict=True)),
            orders=orders,
            reasons=reasons,
            observation=dict(zip(observation.layout.names, observation.array[0].tolist(), strict=True)),
            memory=memories,
        )

    def _observe(
        self, market: MarketData, signals: dict[str, np.ndarray], state: AccountState
    ) -> Observation:
        """The observation, as in training."""
        about = self.manifest
        columns: dict[str, np.ndarray] = {}
        if about.features:
            table = FeatureSet(list(about.features)).compute(market)
            columns |= {name: table.column(name)[-1] for name in about.features}
        for spec in about.forecasts:
            columns[spec.column] = self._forecast(spec, market)
        for name in about.signals:
            k = about.columns.index(name)
            columns[name] = np.clip(signals[name][-1].astype(np.float32), about.low[k], about.high[k])
        # Contract by contract.
        values = np.stack([columns[name] for name in about.columns], axis=1).astype(np.float32)
        self._check_finite(values, market)
        array = np.concatenate([values.ravel(), state.observe()])[None, :]
        return Observation(self._layout, array)

    def _check_finite(self, values: np.ndarray, market: MarketData) -> None:
        bad = np.argwhere(~np.isfinite(values))
        if bad.size:
            contract, column = bad[0]
            raise BundleError(
                f"column {self.manifest.columns[column]!r} of {market.symbols[contract]} is not a number at "
                f"{market.close_time[-1]} UTC; look for zero prices or volumes in the bars before it."
            )

    def _forecast(self, spec: ForecastSpec, market: MarketData) -> np.ndarray:
        rows = FeatureSet(list(spec.inputs)).compute(market).values[-1]
        outputs = self._network(spec.file).run({"X": np.ascontiguousarray(rows, np.float32)})
        what = f"the forecast {spec.column!r} of {self.folder / spec.file}"
        variance = checked_numbers(outputs[0].ravel(), (len(rows),), what)
        if (variance < 0.0).any():
            raise BundleError(f"{what} is a negative variance, {variance.min():g}; do not use this bundle.")
        volatility = np.sqrt(variance * spec.per_year)
        return np.clip(volatility, spec.lower, spec.upper).astype(np.float32)

    def _split_memory(self, memory: Any) -> tuple[tuple[Any, ...] | None, np.ndarray | None]:
        """Memory of the controls, None at first, and the state of a recurrent network (parts, 1, width)."""
        shape, controls = self.manifest.policy.get("state"), len(self.manifest.config.controls)
        if memory is None:
            return None, None if shape is None else np.zeros((shape[0], 1, shape[1]), np.float32)
        given = read_memory(memory_of(Path(memory)) if isinstance(memory, str | os.PathLike) else memory)
        state = given[controls] if len(given) > controls else None
        if shape is not None and len(given) == controls + 1:
            right = state is not None and len(state) == 1 and state[0].shape == (shape[0], 1, shape[1])
            if state is None or not right or not np.isfinite(state[0]).all():
                raise BundleError("memory holds no state of this bundle's network; give its own.")
        if len(given) != controls + (shape is not None):
            raise BundleError(
                f"memory has {len(given)} parts, this bundle has {controls + (shape is not None)} (one for each "
                "risk control, and one for a recurrent network); give its own."
            )
        return given[:controls], None if state is None else state[0].astype(np.float32)

    def _restarted(self, memories: tuple[Any, ...]) -> list[str]:
        """Note of a decision without memory on the controls and network that have one."""
        names = [describe_control(one)["control"] for one in self.manifest.config.controls] + ["the network"]
        restarted = [name for name, one in zip(names, memories, strict=False) if one is not None]
        if not restarted:
            return []
        return [f"no memory was given: {', '.join(restarted)} restart (memory=, of the last decision)"]

    def _extra_inputs(self, network_state: np.ndarray | None, state: AccountState) -> dict[str, np.ndarray]:
        """Further inputs of a network: its state, or the choices that the margin tiers allow."""
        if network_state is not None:
            return {"state": network_state}
        known = self.manifest.policy.get("masked_levels")
        if known is None:
            return {}
        levels, equity, allowed = np.array(known), float(state.account.equity[0]), []
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
            check_factors(output, str(self.folder / POLICY))
            most = self.manifest.config.max_leverage
            leverage = np.clip(output * leverage, -most, most)
        return self._directed(leverage, observation)[0], state

    def _answer(
        self, observation: Observation, extra: dict[str, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Output (1, n_contracts) of the network, and its next state if it has one."""
        found = self._network(POLICY).run({"observation": observation.array, **extra})
        shape, what = (1, len(self.manifest.symbols)), f"the answer of {self.folder / POLICY}"
        state = None
        if "state" in extra:
            state = found[-1]
            checked_numbers(state, extra["state"].shape, f"the next state of {self.folder / POLICY}")
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

    def _controlled(
        self,
        targets: np.ndarray,
        observation: Observation,
        state: AccountState,
        market: MarketData,
        memory: tuple[Any, ...] | None,
    ) -> tuple[np.ndarray, np.recarray, tuple[Any, ...], list[str]]:
        """Targets, resting orders and memories after the bundle's risk controls, and notes."""
        controls = self.manifest.config.controls
        given = (None,) * len(controls) if memory is None else memory
        now = Situation(
            columns=observation,
            time=market.close_time[-1:],
            equity=np.array(state.account.equity),
            liquidated=state.liquidated[None, :],
            begins=np.array([memory is None]),
            margin_share=np.array(state.contracts.margin_share),
        )
        if memory is not None:
            check_memory(memory, apply_controls(controls, targets[None, :], now, (None,) * len(controls))[2])
        after, guards, memories, acted = apply_controls(controls, targets[None, :], now, given)
        names = [describe_control(one)["control"] for one in controls]
        changed = [name for name, did in zip(names, acted[0], strict=True) if did]
        notes = [f"risk control {name} changed the target" for name in changed]
        return after[0], guards, tuple(memories), notes

    @cached_property
    def _layout(self) -> ObservationLayout:
        about = self.manifest
        low, high = (np.array(v, np.float32) for v in (about.low, about.high))
        return ObservationLayout(
            about.symbols, about.symbols, about.columns, ("",) * len(about.columns), low, high
        )

    @cached_property
    def _rule(self) -> Any:
        if self.manifest.rule is None:
            raise BundleError(f"{self.folder / MANIFEST} names no rule; export the bundle again.")
        return make_rule(self.manifest.rule)

    def _network(self, file: str) -> Network:
        if file not in self._networks:
            self._networks[file] = Network(self._files[file], str(self.folder / file))
        return self._networks[file]


def load_bundle(folder: str | Path) -> Bundle:
    """Open a bundle after checking that it is complete and unchanged.

    Raises
    ------
    BundleError
        If it is not complete and unchanged.
    """
    return Bundle(folder)
