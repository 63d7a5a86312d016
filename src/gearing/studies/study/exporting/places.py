"""Where a study writes its bundles: no agent's bundle replaces another's."""

from pathlib import Path

from gearing.export.bundle.files import MANIFEST
from gearing.names import check_file_name
from gearing.storage.text import read_json
from gearing.studies.study.config import StudyConfig

BUNDLE, INPUTS = "bundle", "decide"


def place(config: StudyConfig, name: str, folder: Path) -> Path:
    """Folder of an agent's bundle in a study's folder.

    That of the agent which the study exports, or of its only one, is ``bundle``, unless another agent's bundle is there
    from before; others are in ``bundle-NAME``.
    """
    own = folder / check_file_name(f"{BUNDLE}-{name}", "the agent's folder")
    main = config.export or (next(iter(config.agents)) if len(config.agents) == 1 else None)
    there = name_in(folder / BUNDLE)
    return folder / BUNDLE if name == main and there in (None, bundle_name(config, name)) else own


def bundle_name(config: StudyConfig, name: str) -> str:
    """Name of an agent's policy in its bundle."""
    return f"{config.name}-{name}"


def inputs_of(bundle: Path) -> Path:
    """Folder of the inputs that a study writes with a bundle."""
    return bundle.with_name(bundle.name.replace(BUNDLE, INPUTS, 1))


def name_in(bundle: Path) -> str | None:
    """Name of the policy in a bundle; None where there is none, or a damaged one."""
    try:
        return str(read_json(bundle / MANIFEST, dict).get("name"))
    except ValueError:
        return None
