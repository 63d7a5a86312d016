"""Files of a bundle and their checksums."""

from pathlib import Path

from gearing.storage.digest import file_digest

MANIFEST = "manifest.json"
POLICY = "policy.onnx"
FORECASTER = "forecaster.onnx"
CHECKSUMS = "SHA256SUMS"  # the format of sha256sum, so that `sha256sum -c SHA256SUMS` checks it as well


class BundleError(ValueError):
    """A bundle, or the input of a decision, cannot be used; the message gives the reason and the remedy."""


def write_checksums(folder: Path) -> None:
    """Write the checksums of a folder's files into it."""
    names = sorted(path.name for path in folder.iterdir() if path.name != CHECKSUMS)
    (folder / CHECKSUMS).write_text("".join(f"{file_digest(folder / name)}  {name}\n" for name in names))


def verify_bundle(folder: str | Path) -> tuple[str, ...]:
    """Check that a bundle is complete and unchanged, without additional files.

    Returns
    -------
    tuple of str
        Names of its files.

    Raises
    ------
    BundleError
        Names the first file that differs.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise BundleError(f"there is no folder {folder}; `gearing export` writes bundles.")
    listed = _listed(folder)
    for name, expected in listed.items():
        path = folder / name
        if not path.is_file():
            raise BundleError(f"{folder} lacks {name}; copy the whole folder again, or export it again.")
        found = file_digest(path)
        if found != expected:
            raise BundleError(
                f"{path} was changed after it was written (SHA-256 {found[:12]}..., listed {expected[:12]}...). "
                "A changed bundle makes other decisions than the tested one; copy it again, or export it again."
            )
    added = sorted(p.name for p in folder.iterdir() if p.name not in listed and p.name != CHECKSUMS)
    if added:
        raise BundleError(f"{folder} holds {', '.join(added)}, which its checksums do not list; remove it.")
    return tuple(listed)


def _listed(folder: Path) -> dict[str, str]:
    path = folder / CHECKSUMS
    if not path.is_file():
        raise BundleError(
            f"{folder} has no {CHECKSUMS}, so it is not a bundle; export one with `gearing export`."
        )
    listed = {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        digest, separator, name = line.partition("  ")
        if not separator or len(digest) != 64 or "/" in name:
            raise BundleError(f"{path}, line {number}: {line!r} is not a checksum; export the bundle again.")
        listed[name] = digest
    if MANIFEST not in listed:
        raise BundleError(f"{path} does not list {MANIFEST}; export the bundle again.")
    return listed
