"""Unpack an archive from elsewhere: nothing outside the folder, no links, no bombs."""

import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath
from typing import Final

from tqdm import tqdm

_MAX_MEMBERS: Final = 50_000
_MAX_BYTES: Final = 4_000_000_000
_IGNORED: Final = ("__MACOSX", ".DS_Store")


class UnsafeArchiveError(ValueError):
    """The archive is damaged or wants to write where it must not."""


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack a ZIP file into a new folder; return the folder.

    The folder is there only when everything went well.

    Raises:
        UnsafeArchiveError: a member leaves the folder, is a link, encrypted, named twice or
            damaged, or there is too much of it.
        OSError: the folder cannot be written to.
    """
    unfinished = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [m for m in opened.infolist() if not m.is_dir() and not _ignored(m)]
            _check(members)
            for member in tqdm(members, unit="file", desc="unpack", leave=False):
                target = unfinished / _safe_name(member)
                target.parent.mkdir(parents=True, exist_ok=True)
                with opened.open(member) as source, target.open("xb") as file:
                    shutil.copyfileobj(source, file)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, FileExistsError) as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise UnsafeArchiveError(f"{archive.name} cannot be unpacked: {error}") from error
    unfinished.replace(folder)
    return folder


def _check(members: list[zipfile.ZipInfo]) -> None:
    if not members:
        raise UnsafeArchiveError("the archive is empty")
    if len(members) > _MAX_MEMBERS or sum(m.file_size for m in members) > _MAX_BYTES:
        raise UnsafeArchiveError("the archive holds more than a data set of this kind can")
    for member in members:
        _safe_name(member)
        if stat.S_ISLNK(member.external_attr >> 16):
            raise UnsafeArchiveError(f"{member.filename!r} is a link")
        if member.flag_bits & 0x1:
            raise UnsafeArchiveError(f"{member.filename!r} is encrypted")


def _safe_name(member: zipfile.ZipInfo) -> PurePosixPath:
    # orig_filename is what the archive says; zipfile has already mended filename.
    name = PurePosixPath(member.orig_filename)
    unsafe = "\\" in member.orig_filename or ":" in member.orig_filename or "\0" in str(name)
    if unsafe or name.is_absolute() or ".." in name.parts or not name.parts:
        raise UnsafeArchiveError(f"{member.orig_filename!r} leads out of the folder")
    return name


def _ignored(member: zipfile.ZipInfo) -> bool:
    return any(part in _IGNORED for part in PurePosixPath(member.filename).parts)
