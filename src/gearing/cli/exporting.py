"""``gearing export``: the bundle of a study's policy, or of a policy that is named with its settings."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from gearing.cli.policies import SECTIONS, complete_rule, split_settings, with_own_settings
from gearing.cli.shared import Plugins, ad_hoc, data_line


def export(
    target: Annotated[
        str,
        typer.Argument(
            metavar="STUDY_FOLDER|POLICY",
            help="Folder of a finished study, as `gearing study` prints it; or a rule (volatility_weighted, fixed_3x, "
            "...), a model of stable-baselines3 (model.zip) or a trial of a study; these are played first.",
            autocompletion=complete_rule,
        ),
    ],
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="With a POLICY: its settings, such as low=3, and those of the market and the account, as `gearing "
            "backtest` takes them.",
        ),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            "--policy",
            "--agent",
            help="Agent or rule of the study; default the one it exports, its only agent, or its only rule.",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Export this seed of the agent alone; by default all seeds decide by their mean."),
    ] = None,
    direction: Annotated[
        str | None, typer.Option(help="Of a study with several directions: the one to export.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the bundle, new; default in the study's folder, required with a POLICY."
        ),
    ] = None,
    sign: Annotated[
        Path | None,
        typer.Option(help="File with a private ed25519 key (32 bytes or hex) to sign the bundle."),
    ] = None,
    plugins: Plugins = None,
) -> None:
    """Write a bundle: of a study's agent (the mean of its seeds, or one seed) or rule, or of a named policy.

    For example: gearing export runs/demo-0123 --policy volatility_weighted

    gearing export volatility_weighted low=2 high=6 market.folder=data decision.margin_share=0.1 --output bundle
    """
    from gearing.export.bundle.signing import read_private_key, sign_bundle
    from gearing.export.runtime import load_bundle
    from gearing.studies.study.exporting.export import export_from_folder
    from gearing.studies.study.exporting.places import inputs_of

    key = None if sign is None else read_private_key(sign)  # before anything is written
    if _is_study(target):
        if settings:
            raise ValueError(f"{target} is a study, whose settings are fixed. Drop {' '.join(settings)}.")
        folder = export_from_folder(Path(target), policy, seed, direction, output, typer.echo, plugins or ())
    else:
        given = {"--policy": policy, "--seed": seed, "--direction": direction}
        if wrong := [name for name, value in given.items() if value is not None]:
            raise ValueError(
                f"{', '.join(wrong)}: these choose among the policies of a study, and {target} is no folder of one."
            )
        folder = _named(target, settings or [], output, plugins)
    typer.echo(f"bundle      {folder}\ndigest      {load_bundle(folder).digest}")
    typer.echo(f"inputs      {inputs_of(folder)}")
    if key is not None:
        typer.echo(f"key         {sign_bundle(folder, key)}")


def _is_study(target: str) -> bool:
    """Whether a study is meant: its folder, or a path where nothing is that could be another policy."""
    from gearing.studies.named.policy import is_folder, is_model, is_object

    path = Path(target)
    if is_model(target) or is_object(target):
        return False
    return (path / "experiment.yaml").is_file() or (
        (path.is_dir() or "/" in target) and not is_folder(target)
    )


def _named(target: str, settings: Iterable[str], output: Path | None, plugins: list[str] | None) -> Path:
    from gearing.plugins import load_plugins
    from gearing.studies.named.policy import named_policy
    from gearing.studies.study.exporting.named import export_named

    if output is None:
        raise ValueError(f"{target}: give --output FOLDER, a new folder for the bundle.")
    if output.exists():
        raise ValueError(f"{output} exists. Choose another --output, or remove it.")
    load_plugins(plugins or ())
    own, others = split_settings(target, settings)
    policy = named_policy(target, own)
    config = ad_hoc("export", others, SECTIONS, plugins)
    market = config.market.open()
    account = with_own_settings(target, policy, config.simulation_settings(), others)
    name = " ".join([target, *(f"{key}={value}" for key, value in own.items())])
    typer.echo("\n".join([*data_line(others), str(market), *(f"  note: {note}" for note in market.notes)]))
    return export_named(
        policy, output, market, account,
        name=name, forecast=config.forecast.arguments if config.forecast else None,
    )  # fmt: skip
