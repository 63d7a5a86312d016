"""Unpack gzip files and zips that hold one file."""

import gzip
import io
import zipfile
import zlib
from collections.abc import Callable
from typing import IO

LARGEST = 2**32  # bytes
GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"
_EMPTY_ZIP = b"PK\x05\x06"


def unpacked(
    content: bytes, where: str, wanted: Callable[[str], bool] = bool, largest: int = LARGEST
) -> tuple[bytes, str]:
    """Content of a gzip file, or of the one wanted file of a zip; anything else unchanged.

    Parameters
    ----------
    content : bytes
    where : str
        File it came from, for messages.
    wanted : callable
        Chooses files of a zip by their name; by default any.
    largest : int
        Most bytes that may come out; what an archive says of its own size is not believed.

    Returns
    -------
    tuple of (bytes, str)
        The content, and ``where`` with the name inside a zip.

    Raises
    ------
    ValueError
        For a damaged archive, one that holds no or several wanted files, or too much.
    """
    try:
        if content.startswith(GZIP):
            with gzip.GzipFile(fileobj=io.BytesIO(content)) as packed:
                return _limited(packed, largest, where), where
        if content.startswith((ZIP, _EMPTY_ZIP)):
            return _from_zip(content, where, wanted, largest)
    except (zipfile.BadZipFile, OSError, EOFError, zlib.error, RuntimeError, NotImplementedError):
        # RuntimeError: the zip asks for a password; NotImplementedError: an unknown compression
        raise ValueError(
            f"{where}: damaged zip or gzip file, or one with a password; get it again."
        ) from None
    return content, where


def _from_zip(content: bytes, where: str, wanted: Callable[[str], bool], largest: int) -> tuple[bytes, str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = [
            name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")
        ]
        if "[Content_Types].xml" in names:
            raise ValueError(f"{where}: an Excel workbook; save the sheet as CSV.")
        chosen = [name for name in names if wanted(name)]
        if len(chosen) != 1:
            raise ValueError(
                f"{where}: holds {len(chosen)} such files ({', '.join(chosen or names)[:200] or 'none at all'}), "
                "expected one; unpack it."
            )
        with archive.open(chosen[0]) as packed:
            return _limited(packed, largest, f"{where}: {chosen[0]}"), f"{where}, {chosen[0]}"


def _limited(packed: IO[bytes] | gzip.GzipFile, largest: int, where: str) -> bytes:
    found = packed.read(largest + 1)
    if len(found) > largest:
        raise ValueError(f"{where} unpacks to more than {largest:,} bytes; it is not read.")
    return found
