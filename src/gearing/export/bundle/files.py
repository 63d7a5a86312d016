"""Files of a bundle and their checksums.

A bundle is a folder of plain files: no links, no folders. Each is read once; its checksum is computed from the bytes
that are used afterwards, so that a file which is replaced later has no effect.
"""

import hashlib
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gearing.names import is_file_name
from gearing.storage.digest import file_digest

MANIFEST = "manifest.json"
POLICY = "policy.onnx"
FORECASTER = "forecaster.onnx"
CARD = "MODEL_CARD.md"
SIGNATURE = "SHA256SUMS.ed25519"  # of the checksums' bytes, in hexadecimal digits; optional
CHECKSUMS = "SHA256SUMS"  # the format of sha256sum, so that `sha256sum -c SHA256SUMS` checks it as well
LARGEST_TEXT = 16 * 2**20  # bytes of the manifest, and of the checksums
LARGEST_NETWORK = 256 * 2**20  # bytes of a network
LARGEST_BUNDLE = 512 * 2**20  # bytes of all files
MOST_FILES = 64
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SIGNED = re.compile(rb"[0-9a-f]{128}\n")


class BundleError(ValueError):
    """A bundle, or the input of a decision, cannot be used; the message gives the reason and the remedy.

    ``code`` is one word for programs: ``input``, ``moment``, ``stale``, ``clock``, ``gap``, ``jump``, ``outside``,
    ``answer``, ``side``, ``liquidation``, ``account``.
    """

    def __init__(self, message: str, code: str = "input"):
        super().__init__(message)
        self.code = code


def write_checksums(folder: Path) -> None:
    """Write the checksums of a folder's files into it."""
    names = sorted(path.name for path in folder.iterdir() if path.name not in (CHECKSUMS, SIGNATURE))
    lines = "".join(f"{file_digest(folder / name)}  {name}\n" for name in names)
    (folder / CHECKSUMS).write_text(lines, encoding="utf-8", newline="\n")


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
    return tuple(read_bundle(folder).files)


@dataclass(frozen=True)
class Contents:
    """What was read of a bundle, once.

    Attributes
    ----------
    files : mapping of name to bytes
    checksums : bytes
        The list of checksums; its SHA-256 is the bundle's digest.
    signature : bytes or None
        Content of the signature's file, not verified.
    """

    files: Mapping[str, bytes]
    checksums: bytes
    signature: bytes | None

    @property
    def digest(self) -> str:
        """SHA-256 of the list of checksums: it names all files."""
        return hashlib.sha256(self.checksums).hexdigest()


def read_bundle(folder: str | Path) -> Contents:
    """Contents of a bundle's files by name, checked as `verify_bundle` does.

    Raises
    ------
    BundleError
        Names the first file that differs, is larger than its limit, or is no plain file.
    """
    folder = Path(folder)
    if folder.is_file():
        raise BundleError(f"{folder} is a file, and a bundle is a folder: unpack it first.")
    if not folder.is_dir():
        raise BundleError(f"there is no folder {folder}; `gearing export` writes bundles.")
    checksums = _checksums(folder)
    listed = _listed(folder / CHECKSUMS, checksums)
    present = sorted(path.name for path in folder.iterdir())
    missing = [name for name in listed if name not in present]
    if missing:
        raise BundleError(f"{folder} lacks {missing[0]}; copy the whole folder again, or export it again.")
    added = [name for name in present if name not in listed and name not in (CHECKSUMS, SIGNATURE)]
    if added:
        raise BundleError(f"{folder} holds {', '.join(added)}, which its checksums do not list; remove it.")
    contents: dict[str, bytes] = {}
    for name, expected in listed.items():
        contents[name] = _verified(folder / name, expected)
        if sum(map(len, contents.values())) > LARGEST_BUNDLE:
            raise BundleError(f"{folder} holds more than {LARGEST_BUNDLE:,} bytes; export it again.")
    return Contents(contents, checksums, _signature(folder) if SIGNATURE in present else None)


def _signature(folder: Path) -> bytes:
    """The signature as it was written: another spelling of the same numbers is a changed file, too."""
    content = _content(folder / SIGNATURE, LARGEST_TEXT)
    if not _SIGNED.fullmatch(content):
        raise BundleError(
            f"{folder / SIGNATURE} is no signature (128 hexadecimal digits and the end of the line); copy the bundle "
            "again, or delete this file and sign it again."
        )
    return content


def _verified(path: Path, expected: str) -> bytes:
    content = _content(path, LARGEST_TEXT if path.name == MANIFEST else LARGEST_NETWORK)
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise BundleError(
            f"{path} was changed after it was written (SHA-256 {found[:12]}..., listed {expected[:12]}...). "
            "A changed bundle makes other decisions than the tested one; copy it again, or export it again."
        )
    return content


def _content(path: Path, largest: int) -> bytes:
    """Bytes of a plain file within its limit; a link, a folder, a pipe or a device is refused unread."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        kind = "is a link" if path.is_symlink() else f"cannot be read ({error.strerror})"
        raise BundleError(f"{path} {kind}; a bundle holds plain files only. Copy the file itself.") from error
    about = os.fstat(descriptor)
    if not stat.S_ISREG(about.st_mode) or path.is_symlink():
        os.close(descriptor)
        raise BundleError(f"{path} is no plain file; a bundle holds plain files only.")
    with open(descriptor, "rb") as handle:
        content = handle.read(largest + 1)
    if len(content) > largest:
        raise BundleError(
            f"{path} has {about.st_size:,} bytes; at most {largest:,} are read. Export it again."
        )
    return content


def _checksums(folder: Path) -> bytes:
    path = folder / CHECKSUMS
    if not os.path.lexists(path):
        raise BundleError(
            f"{folder} has no {CHECKSUMS}, so it is not a bundle; export one with `gearing export`."
        )
    return _content(path, LARGEST_TEXT)


def _listed(path: Path, checksums: bytes) -> dict[str, str]:
    listed: dict[str, str] = {}
    if not checksums.endswith(b"\n"):
        raise BundleError(f"{path} ends within a line; copy the bundle again, or export it again.")
    for number, line in enumerate(checksums[:-1].split(b"\n"), start=1):
        digest, separator, name = line.decode("utf-8", errors="replace").partition("  ")
        if not separator or not _DIGEST.fullmatch(digest) or not is_file_name(name) or name in listed:
            raise BundleError(
                f"{path}, line {number}: {line[:120]!r} is not the checksum of one more file (SHA-256, two spaces, a "
                "plain name); export the bundle again."
            )
        listed[name] = digest
    if MANIFEST not in listed or len(listed) > MOST_FILES:
        raise BundleError(
            f"{path} lists {len(listed)} files; it must list {MANIFEST} and at most {MOST_FILES} files. Export the "
            "bundle again."
        )
    return listed
