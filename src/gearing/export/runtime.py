"""The runtime of bundles: target leverage and orders from bars and an account, with numpy and onnxruntime only."""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gearing.contracts import Contract
from gearing.export.account.given import load_account
from gearing.export.account.quotes import Quotes
from gearing.export.bundle.files import MANIFEST, BundleError as BundleError, read_bundle
from gearing.export.bundle.manifest import Manifest
from gearing.export.bundle.signing import check_digest, check_signature
from gearing.export.calls import client_order_id as client_order_id
from gearing.export.deciding.decider import Decider
from gearing.export.deciding.decision import (
    Call as Call,
    Decision as Decision,
    Order as Order,
    Refusal as Refusal,
)
from gearing.export.deciding.memory import given_memory
from gearing.export.deciding.perception import Perception
from gearing.export.deciding.policy import Policy
from gearing.export.deciding.refusals import (
    Fallback as Fallback,
    RefusedError as RefusedError,
)
from gearing.export.deciding.settings import (
    Bounds as Bounds,
    Settings as Settings,
    read_settings as read_settings,
)
from gearing.export.live.journal import JournalError as JournalError
from gearing.export.live.limits import Limits as Limits, State as State
from gearing.export.live.replay import Replay as Replay, replay as replay
from gearing.export.live.session import Session as Session
from gearing.export.reading.bars import Inputs, check_finite, naming, read_market
from gearing.export.reading.jumps import MAX_JUMP, read_max_jump
from gearing.export.reading.moment import due_before, longest_age, read_moment
from gearing.export.reading.stream import Stream as Stream
from gearing.features import FeatureSet


class Bundle:
    """An exported policy that makes decisions.

    Parameters
    ----------
    folder : path
    digest : str, optional
        The bundle's digest that the user pinned.
    key : str, bytes or path, optional
        Public ed25519 key of its author.

    Attributes
    ----------
    digest : str
        SHA-256 of its list of checksums.
    manifest : Manifest
    lookback_bars : int
        Bars required before a decision.
    """

    def __init__(self, folder: str | Path, digest: str | None = None, key: str | bytes | Path | None = None):
        self.folder = Path(folder)
        contents = read_bundle(self.folder)
        check_digest(contents, digest, self.folder)
        check_signature(contents, key, self.folder)
        self.digest = contents.digest
        self.manifest = Manifest.parse(contents.files[MANIFEST], str(self.folder / MANIFEST))
        self.lookback_bars = self.manifest.lookback_bars
        self.policy = Policy(self.manifest, contents.files, self.folder)
        self.decider = Decider(self.manifest, self.policy, self.digest)

    def __repr__(self) -> str:
        about = self.manifest
        names = ", ".join(about.symbols)
        return (
            f"Bundle({about.name} for {names}, every {about.config.decision_interval}, {self.lookback_bars} bars, "
            f"digest {self.digest[:12]})"
        )

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
        **settings: Any,
    ) -> Decision:
        """Decide at the last due close before ``now``.

        Parameters
        ----------
        bars : table, rows, or path of a CSV, JSON or Parquet file
            At least ``lookback_bars`` before the decision, up to the newest; columns as in
            :mod:`gearing.export.reading.bars`.
        account : mapping, or path of a JSON file
            As in :mod:`gearing.export.account.reading`, or the answers of a venue.
        funding : as ``bars``, optional
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
        **settings
            Those of :func:`~gearing.export.deciding.settings.read_settings`: ``fallback``, ``venue``, ``max_outside``,
            ``pending``.

        Raises
        ------
        RefusedError
            If the decision is refused and no fallback was given; the message says what to do.
        BundleError
            If the account or a setting cannot be used.
        """
        read = read_settings(**settings)
        with naming(memory):
            before = given_memory(memory)
        seen = self.perceive(bars, funding, now=now, max_age=max_age, max_jump=max_jump)
        return self.conclude(seen, account, before, read)

    def with_contracts(self, contracts: Sequence[Contract]) -> "Bundle":
        """The same bundle with other lots, ticks, smallest orders and tiers: those of the venue's own answers, dated.

        Raises
        ------
        BundleError
            If there is none for a contract of the bundle.
        """
        known = {one.symbol: one for one in contracts}
        if missing := [name for name in self.manifest.symbols if name not in known]:
            raise BundleError(f"contracts: none for {missing[0]}; give the venue's answers for it.")
        made = copy(self)
        made.manifest = replace(self.manifest, contracts=tuple(known[name] for name in self.manifest.symbols))
        made.policy = copy(self.policy)
        made.policy.manifest = made.manifest
        made.decider = Decider(made.manifest, made.policy, self.digest)
        return made

    def conclude(
        self, seen: Perception, account: Any, memory: tuple[Any, ...] | None, settings: Settings
    ) -> Decision:
        """Decide on what was perceived; see :class:`~gearing.export.deciding.decider.Decider`."""
        if seen.refusals and settings.fallback is None:
            raise RefusedError(seen.refusals)
        return self.decider.decide(seen, self.account_of(account), memory, settings, account)

    def account_of(self, given: Any) -> Mapping[str, Any]:
        """An account in our own format: from a file, or the answers of a venue."""
        with naming(given):
            return load_account(given, self.manifest)

    def perceive(
        self,
        bars: Any,
        funding: Any = None,
        *,
        now: Any = None,
        max_age: str | None = None,
        max_jump: float | str = MAX_JUMP,
    ) -> Perception:
        """What a decision takes from the market; arguments as those of `decide`. What is refused is in it."""
        longest_age(max_age, self.manifest.bar)
        read_max_jump(max_jump)
        time = None
        try:
            moment = read_moment(now)
            time = None if moment is None else due_before(moment, self.manifest)
            with naming(bars):
                inputs = read_market(self.manifest, bars, funding, moment, max_age, max_jump)
                columns = self._columns(inputs)
        except BundleError as error:
            return Perception(None, None, time, (), (Refusal(error.code, str(error)),))
        notes = list(inputs.notes)
        if moment is None:
            notes.append("no moment was given: decided as of the last due close, however old")
        quotes = Quotes.of(inputs.market, inputs.marks)
        return Perception(quotes, columns, quotes.time, tuple(notes))

    def stream(self, bars: Any, funding: Any = None, *, max_jump: float | str = MAX_JUMP) -> Stream:
        """Features bar by bar, begun with a look-back; see :class:`~gearing.export.reading.stream.Stream`."""
        return Stream(self.manifest, self.policy, self.conclude, bars, funding, max_jump)

    def _columns(self, inputs: Inputs) -> np.ndarray:
        """Market columns of the observation (n_contracts, n_columns), as in training."""
        about, market = self.manifest, inputs.market
        found: dict[str, np.ndarray] = {}
        if about.features:
            table = FeatureSet(list(about.features)).compute(market)
            found |= {name: table.column(name)[-1] for name in about.features}
        for spec in about.forecasts:
            rows = FeatureSet(list(spec.inputs)).compute(market).values[-1]
            found[spec.column] = self.policy.forecast(spec, rows)
        found |= about.bounded({name: values[-1] for name, values in inputs.signals.items()})
        values = np.stack([found[name] for name in about.columns], axis=1).astype(np.float32)
        check_finite(values, about, market.close_time[-1])
        return values


def load_bundle(
    folder: str | Path, digest: str | None = None, key: str | bytes | Path | None = None
) -> Bundle:
    """Open a bundle after checking that it is complete and unchanged.

    Parameters
    ----------
    folder : path
    digest : str, optional
        Refuse any other bundle than the one with this digest.
    key : str, bytes or path, optional
        Refuse a bundle that was not signed with the private key of this public one (ed25519).

    Raises
    ------
    BundleError
        If it is not complete, not unchanged, or another one.
    """
    return Bundle(folder, digest, key)
