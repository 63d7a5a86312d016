"""Signatures of bundles: ed25519 over the list of checksums. Checksums show damage, a signature shows who wrote it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from gearing.export.bundle.files import CHECKSUMS, SIGNATURE, BundleError, Contents, read_bundle
from gearing.storage.atomic import write_text
from gearing.storage.text import read_bytes

_KEY = re.compile(r"[0-9a-fA-F]{64}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


def check_digest(contents: Contents, digest: str | None, folder: Path) -> None:
    """Check the digest that the user pinned.

    Raises
    ------
    BundleError
        If it is another one, or no digest.
    """
    if digest is None:
        return
    wanted = str(digest).strip().lower()
    if not _DIGEST.fullmatch(wanted):
        raise BundleError(
            f"digest is {str(digest)[:80]!r}; it must be 64 hexadecimal digits, as `gearing export` prints."
        )
    if wanted != contents.digest:
        raise BundleError(
            f"{folder} has the digest {contents.digest}, not {wanted}: it is another bundle. Take the one you pinned, "
            "or pin this one after looking at its MODEL_CARD.md."
        )


def check_signature(contents: Contents, key: str | bytes | Path | None, folder: Path) -> None:
    """Check a bundle's signature with a public key.

    Parameters
    ----------
    key : text of 64 hexadecimal digits, 32 bytes, or path of a file that holds either, or None

    Raises
    ------
    BundleError
        If there is no signature, or it is not that key's.
    """
    if key is None:
        return
    raw = _raw_key(key)
    if contents.signature is None:
        raise BundleError(
            f"{folder} has no signature ({SIGNATURE}); sign it with `gearing export --sign`, or give no key."
        )
    public = _cryptography().Ed25519PublicKey.from_public_bytes(raw)
    try:
        public.verify(bytes.fromhex(contents.signature.decode("ascii")), contents.checksums)
    except Exception as error:  # of another kind for every way to be wrong
        raise BundleError(
            f"{folder}: the signature is not that of the key {raw.hex()}; take the bundle from its author again."
        ) from error


def sign_bundle(folder: str | Path, private_key: str | bytes | Path) -> str:
    """Sign a bundle; returns the public key in hexadecimal digits.

    Parameters
    ----------
    private_key : text of 64 hexadecimal digits, 32 bytes, or path of a file that holds either
        An ed25519 seed.
    """
    contents = read_bundle(folder)
    key = _cryptography().Ed25519PrivateKey.from_private_bytes(_raw_key(private_key))
    write_text(Path(folder) / SIGNATURE, key.sign(contents.checksums).hex() + "\n")
    public: str = key.public_key().public_bytes_raw().hex()
    return public


def read_private_key(given: str | bytes | Path) -> bytes:
    """The 32 bytes of an ed25519 seed, as `sign_bundle` takes them; before a bundle is written, to refuse early.

    Raises
    ------
    BundleError
        If it cannot be read, is no key, or the package that signs is missing.
    """
    _cryptography()
    return _raw_key(given)


def _raw_key(given: str | bytes | Path) -> bytes:
    """The 32 bytes of a key."""
    if isinstance(given, str) and _KEY.fullmatch(given.strip()):
        return bytes.fromhex(given.strip())
    if isinstance(given, bytes):
        content = given
    else:
        try:
            content = read_bytes(Path(given))
        except ValueError as error:
            raise BundleError(
                f"key: {error} Give 64 hexadecimal digits, or a file that holds them."
            ) from error
    text = content.strip()
    if len(text) == 64 and _KEY.fullmatch(text.decode("ascii", "replace")):
        return bytes.fromhex(text.decode())
    if len(content) != 32:
        raise BundleError(
            f"a key has 32 bytes, or 64 hexadecimal digits; {len(content)} bytes were given (--key, --sign)."
        )
    return content


def _cryptography() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise BundleError(
            "signatures need the package cryptography, which is not installed: pip install cryptography. "
            f"Without it, pin the bundle's digest (--digest), the SHA-256 of {CHECKSUMS}."
        ) from None
    return ed25519
