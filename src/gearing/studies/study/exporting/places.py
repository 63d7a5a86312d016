"""Where bundles are written: none replaces another."""

from pathlib import Path

from gearing.export import BundleError
from gearing.export.bundle.files import MANIFEST, read_bundle
from gearing.names import check_file_name
from gearing.storage.text import read_json
from gearing.studies.study.config import StudyConfig

BUNDLE, INPUTS = "bundle", "decide"


def place(
    config: StudyConfig, name: str, folder: Path, seed: int | None = None, direction: str | None = None
) -> Path:
    """Folder of a policy's bundle in a study's folder.

    That of the policy which the study exports, or of its only agent, is ``bundle``, unless another policy's bundle is
    there from before; others are in ``bundle-NAME``. A direction, and a seed that is exported alone, are part of the
    name.
    """
    parts = [BUNDLE, name, *([direction] if direction else []), *([] if seed is None else [f"seed{seed}"])]
    own = folder / check_file_name("-".join(parts), "the bundle's folder")
    main = config.export or (next(iter(config.agents)) if len(config.agents) == 1 else None)
    if name != main or seed is not None or direction is not None:
        return own
    there = name_in(folder / BUNDLE)
    return folder / BUNDLE if there in (None, bundle_name(config, name)) else own


def bundle_name(config: StudyConfig, name: str) -> str:
    """Name of a policy in its bundle."""
    return f"{config.name}-{name}"


def inputs_of(bundle: Path) -> Path:
    """Folder of the inputs that are written with a bundle."""
    if BUNDLE in bundle.name:
        return bundle.with_name(bundle.name.replace(BUNDLE, INPUTS, 1))
    return bundle.with_name(f"{bundle.name}-{INPUTS}")


def name_in(bundle: Path) -> str | None:
    """Name of the policy in a bundle; None where there is none, or a damaged one."""
    try:
        return str(read_json(bundle / MANIFEST, dict).get("name"))
    except ValueError:
        return None


def set_aside(bundle: Path) -> Path | None:
    """Rename a whole bundle to ``NAME-DIGEST`` before another takes its place; returns where it is then.

    What is damaged is no bundle and stays to be replaced.
    """
    try:
        digest = read_bundle(bundle).digest
    except BundleError:
        return None
    aside = bundle.with_name(f"{bundle.name}-{digest[:12]}")
    if aside.exists():  # the same bundle, exported before
        return aside
    bundle.rename(aside)
    return aside
