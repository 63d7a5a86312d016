"""Write bundles."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from gearing.exchange.observing import ACCOUNT_COLUMNS, POSITION_COLUMNS
from gearing.export.bundle.files import CARD, FORECASTER, MANIFEST, POLICY, BundleError, write_checksums
from gearing.export.bundle.manifest import DeclaredFeature, ForecastSpec, Manifest
from gearing.export.bundle.plain import plain
from gearing.export.bundle.ranges import Ranges
from gearing.export.cards import model_card
from gearing.features import FeatureSet, FeatureTable, is_feature, parse_duration
from gearing.market.data import MarketData
from gearing.market.timing import YEAR
from gearing.policies.registry import describe_control, describe_rule
from gearing.simulation.actions import LeverageScheme, ResidualScheme, TierScheme
from gearing.simulation.config import SimulationConfig
from gearing.simulation.hooks import hooks_of
from gearing.simulation.observation import ObservationLayout
from gearing.simulation.policy import Policy, check_columns
from gearing.storage.atomic import draft_folder, write_text
from gearing.storage.digest import code_digest

_EXPORTED_SCHEMES = (type(None), LeverageScheme, ResidualScheme, TierScheme)
_PACKAGES = (
    "gearing", "numpy", "pandas", "numba", "torch", "stable-baselines3", "sb3-contrib", "scikit-learn", "lightgbm",
    "onnx", "onnxruntime",
)  # fmt: skip


def export_bundle(
    policy: Policy | Sequence[Policy],
    folder: str | Path,
    *,
    market: MarketData,
    table: FeatureTable,
    config: SimulationConfig,
    forecasts: Any = (),
    name: str | None = None,
    provenance: Mapping[str, Any] | None = None,
    seen: FeatureTable | None = None,
    evaluation: Mapping[str, Any] | None = None,
    budget: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a policy and everything it needs for decisions.

    Parameters
    ----------
    policy : Policy, or sequence of them
        A trained agent's policy, or a registered rule. Several trained policies of one kind (of the seeds of a study)
        become one graph that answers with their mean.
    folder : path
        Written atomically.
    market : MarketData
        The bundle's contracts, venue and bar; its fingerprint becomes provenance.
    table : FeatureTable
        Names and bounds of the observation's market columns, in order.
    config : SimulationConfig
    forecasts : ForecastColumn or sequence of them
        Forecasts among the table's columns; their newest model is exported.
    name : str, optional
    provenance : mapping, optional
        Further plain values: seeds, spans, run ids.
    seen : FeatureTable, optional
        Rows of training, whose ranges the bundle stores; by default all rows of ``table``.
    evaluation : mapping, optional
        Results of the policy, plain values: metrics with intervals, and on which span.
    budget : mapping, optional
        Budget card, plain values: promised against realised risk per horizon, and on which data.
    overwrite : bool
        Whether an existing folder may be replaced.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    BundleError
        If the policy, a column or a setting cannot be exported; the message gives the reason.
    """
    folder = Path(folder)
    if folder.exists() and not overwrite:
        raise BundleError(f"{folder} exists; choose another folder, or overwrite=True.")
    policies = _members(policy)
    for one in policies:
        _check(one, config, table)
    forecasts = list(forecasts) if isinstance(forecasts, (list, tuple)) else [forecasts]
    layout = ObservationLayout.of(table, market.symbols)
    with draft_folder(folder) as draft:
        specs = tuple(_write_forecaster(one, k, draft) for k, one in enumerate(forecasts))
        about = _write_policy(policies, layout, config, draft)
        about |= {
            "name": name or type(policies[0]).__name__,
            "provenance": _provenance(market, provenance or {}),
        }
        about |= {"evaluation": plain(evaluation or {}), "budget": plain(budget or {})}
        rows = table if seen is None else seen.select(table.columns)
        manifest = _manifest(market, table, config, specs, seen=Ranges.of(rows), **about)
        manifest.write(draft / MANIFEST)
        write_text(draft / CARD, model_card(manifest))
        write_checksums(draft)
    return folder


def _check(policy: Policy, config: SimulationConfig, table: FeatureTable) -> None:
    if config.position_mode != "one_way":
        raise BundleError(
            "position_mode 'hedge' cannot be exported: an account file has one position per contract."
        )
    known = (*table.columns, *POSITION_COLUMNS, *ACCOUNT_COLUMNS)
    scheme = hooks_of(policy).scheme
    if type(scheme) not in _EXPORTED_SCHEMES:
        raise BundleError(
            f"the action scheme {type(scheme).__name__} cannot be exported: a bundle's graph holds the schemes "
            "leverage, tiers and residual. Train with one of these, or export a module (gearing.agents.from_torch)."
        )
    base = getattr(scheme, "base", None)
    for reader in (policy, *config.controls, *([] if base is None else [base])):
        try:
            check_columns(reader, known)
        except ValueError as error:
            raise BundleError(str(error)) from error
    try:
        for one in config.controls:
            describe_control(one)
    except ValueError as error:
        raise BundleError(f"{error} Only registered risk controls can be exported.") from error


def _members(given: Any) -> list[Any]:
    """The policies of a bundle: one, or networks of one kind."""
    if not isinstance(given, list | tuple):
        return [given]
    kinds = {_kind(one) for one in given}
    if not given or None in kinds or len(kinds) > 1:
        raise BundleError(
            "a bundle of several policies takes the mean of trained networks of one algorithm, action scheme and "
            "columns; export rules and other agents one by one."
        )
    return list(given)


def _kind(policy: Any) -> tuple[str, ...] | None:
    """What networks must share to be averaged; None of what is no network."""
    if hooks_of(policy).network is None or not hasattr(policy, "description"):
        return None
    about = policy.description
    return about.algorithm, str(dict(about.scheme)), str(about.names)


def _write_policy(
    policies: Sequence[Any], layout: ObservationLayout, config: SimulationConfig, draft: Path
) -> dict[str, Any]:
    """Write the network, if there is one; returns the manifest's ``kind``, ``rule`` and ``policy``."""
    policy = policies[0]
    if hooks_of(policy).network is not None:
        from gearing.export.graph import write_policy_graph

        state = write_policy_graph(policies, layout, config, draft / POLICY)
        description = policy.description
        scheme = dict(description.scheme)
        about = {
            "algorithm": description.algorithm,
            "scheme": scheme,
            "training": dict(description.training),
            "members": len(policies),
        }
        if state is not None:
            about["state"] = list(state)
        if policy.masked:
            about["masked_levels"] = policy.scheme.magnitudes.tolist()
        kind = "residual" if "base" in scheme else "network"
        return {"kind": kind, "rule": scheme.get("base"), "policy": about}
    try:
        return {"kind": "rule", "rule": describe_rule(policy)}
    except ValueError as error:
        raise BundleError(f"{error} Only registered rules and learned policies can be exported.") from error


def _write_forecaster(forecast: Any, k: int, draft: Path) -> ForecastSpec:
    from gearing.features.families.volatility import MOST

    recipe = forecast.recipe
    if not recipe.exports:
        raise BundleError(
            f"forecaster {recipe.name!r} does not export to ONNX (it needs {recipe.needs}); choose another for the "
            f"column {forecast.name!r}, such as har or lightgbm_gamma."
        )
    if forecast.model is None:
        raise BundleError(
            f"the forecast {forecast.name!r} was stored without its graph, because onnx was not installed; install "
            "gearing[export], delete the study's forecast trials and run it again."
        )
    file = FORECASTER if k == 0 else f"forecaster-{k + 1}.onnx"
    (draft / file).write_bytes(forecast.model.to_onnx().SerializeToString())
    per_year = float(YEAR / parse_duration(forecast.horizon))
    return ForecastSpec(
        forecast.name, recipe.name, forecast.horizon, tuple(recipe.columns), file, per_year, 0.0, MOST
    )


def _manifest(
    market: MarketData,
    table: FeatureTable,
    config: SimulationConfig,
    forecasts: tuple[ForecastSpec, ...],
    **about: Any,
) -> Manifest:
    made = {spec.column for spec in forecasts}
    features = tuple(c for c in table.columns if c not in made and is_feature(c))
    signals = tuple(c for c in table.columns if c not in made and c not in features)
    return Manifest(
        bar_milliseconds=int(market.bar // np.timedelta64(1, "ms")),
        contracts=market.contracts,
        venue=config.profile(market.venue),
        config=config,
        columns=table.columns,
        low=tuple(table.lower.tolist()),
        high=tuple(table.upper.tolist()),
        features=features,
        signals=signals,
        forecasts=forecasts,
        lookback_bars=_lookback(features, forecasts, market.bar),
        declared=tuple(DeclaredFeature.of(name) for name in _named(features, forecasts)),
        **about,
    )


def _lookback(features: tuple[str, ...], forecasts: tuple[ForecastSpec, ...], bar: np.timedelta64) -> int:
    wanted = [features, *(spec.inputs for spec in forecasts)]
    return max((FeatureSet(list(names)).lookback(bar) for names in wanted if names), default=1)


def _named(features: tuple[str, ...], forecasts: tuple[ForecastSpec, ...]) -> tuple[str, ...]:
    """Names of all features that a decision computes, each once."""
    return tuple(dict.fromkeys([*features, *(name for spec in forecasts for name in spec.inputs)]))


def _provenance(market: MarketData, given: Mapping[str, Any]) -> dict[str, Any]:
    versions = {}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return {
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "market": {"name": market.name, "fingerprint": market.fingerprint, "notes": list(market.notes)},
        "span": [str(market.open_time[0]), str(market.close_time[-1])],
        "versions": versions,
        "code": code_digest(),
        **given,
    }
