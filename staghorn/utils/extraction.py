"""Archives taken apart in a folder of their own, from which nothing leads out."""

from __future__ import annotations

import os
import re
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from lzma import LZMAError
from pathlib import Path, PureWindowsPath

from staghorn.saving.atomic import temporary_beside
from staghorn.saving.errors import CorruptFileError, UnsafeFileError

DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, LZMAError, EOFError, RuntimeError)


def extract_archive(
    file_path: str | os.PathLike[str],
    path: str | os.PathLike[str] = ".",
    archive_format: str | Iterable[str] | None = "auto",
) -> bool:
    """Extract a tar (plain, gzip, bzip2, xz) or zip archive into a folder.

    Everything is extracted beside the folder first and moved there when all of it is good; files
    that are there and not in the archive stay.

    Args:
        file_path: the archive.
        path: the folder. Default: ".".
        archive_format: "tar", "zip", "auto" (either), several of them, or None (nothing).
            Default: "auto".

    Returns:
        Whether the file was an archive of such a format.

    Raises:
        UnsafeFileError: a member has an absolute name, leads outside, or is a device; or the
            members say that they need more room than the disk has.
        CorruptFileError: the archive is damaged.

    Example:
        >>> import pathlib, tempfile, zipfile
        >>> from staghorn.utils.extraction import extract_archive
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        ...     archive.writestr("in/b.txt", "text")
        >>> extract_archive(folder / "a.zip", folder / "a")
        True
        >>> (folder / "a" / "in" / "b.txt").read_text()
        'text'
    """
    if archive_format == "auto":
        archive_format = ("tar", "zip")
    elif isinstance(archive_format, str):
        archive_format = (archive_format,)
    for kind in archive_format or ():
        if kind not in ("tar", "zip"):
            raise ValueError(
                "get_file: archive_format must be 'auto', 'tar', 'zip', a list of them or None, "
                f"got {kind!r}."
            )
        matches = tarfile.is_tarfile if kind == "tar" else zipfile.is_zipfile
        if matches(file_path):
            _extract(Path(file_path), Path(path).absolute(), kind)
            return True
    return False


def _extract(source: Path, folder: Path, kind: str) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(folder)
    temporary.mkdir()
    try:
        if kind == "tar":
            with tarfile.open(source) as archive:
                archive.extractall(
                    temporary, members=_tar_members(archive, source, temporary), filter="data"
                )
        else:
            with zipfile.ZipFile(source) as archive:
                # zipfile writes a link as a file with its target as text: nothing to follow
                names = [_inside(member.filename, source) for member in archive.infolist()]
                _fits(sum(member.file_size for member in archive.infolist()), source, temporary)
                archive.extractall(temporary, names)
        _move(temporary, folder)
    except tarfile.FilterError as error:
        raise UnsafeFileError(f"{source}: {error}. Nothing was extracted.") from error
    except DAMAGE as error:
        raise CorruptFileError(
            f"{source} is damaged ({error}); nothing was extracted. Delete it and download it "
            "again, or give get_file its file_hash."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _tar_members(archive: tarfile.TarFile, source: Path, folder: Path) -> Iterator[tarfile.TarInfo]:
    """Checked members: folders and files first, links last, so that nothing is written through one.

    Python's own filter follows these checks; old releases of it let some chains of links pass.
    """
    size, links = 0, []
    files: set[Path] = set()
    folders: set[Path] = set()
    for member in archive:
        name = Path(os.path.normpath(_inside(member.name, source)))
        size += member.size
        _fits(size, source, folder)
        if member.issym() or member.islnk():
            links.append((member, name))
            continue
        if not (member.isreg() or member.isdir()):
            raise _unsafe(source, member.name, "is neither a file nor a folder nor a link")
        folders.update([*name.parents, name] if member.isdir() else name.parents)
        files.update([] if member.isdir() else [name])
        yield member
    symbolic = {name for member, name in links if member.issym()}
    for member, name in sorted(links, key=lambda link: link[0].issym()):  # hard links first
        if name in folders or symbolic & {*name.parents}:
            raise _unsafe(source, member.name, "is a link and a folder, or lies behind a link")
        if member.issym():
            # Up through real folders first, then down: links that are passed obey the same rule.
            steps = re.split(r"[/\\]", _absolute(member.linkname, member.name, source))
            up = next((i for i, step in enumerate(steps) if step != ".."), len(steps))
            if up >= len(name.parts) or ".." in steps[up:]:
                raise _unsafe(source, member.name, f"links to {member.linkname!r}")
        elif Path(os.path.normpath(member.linkname)) not in files:
            raise _unsafe(source, member.name, f"links to {member.linkname!r}, not a file in it")
        yield member


def _absolute(path: str, name: str, source: Path) -> str:
    if path.startswith(("/", "\\")) or PureWindowsPath(path).drive:
        raise _unsafe(source, name, f"leads to the absolute path {path!r}")
    return path


def _inside(name: str, source: Path) -> str:
    if ".." in re.split(r"[/\\]", _absolute(name, name, source)):
        raise _unsafe(source, name, "leads outside")
    return name


def _fits(size: int, source: Path, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise UnsafeFileError(
            f"{source} says that it unpacks to {size:,} bytes or more; {folder.parent} has "
            f"{free:,} left. Nothing was extracted."
        )


def _unsafe(source: Path, name: str, what: str) -> UnsafeFileError:
    return UnsafeFileError(
        f"{source}: the member {name!r} {what}. Nothing was extracted; get the archive from a "
        "source that you trust."
    )


def _move(source: Path, target: Path) -> None:
    """Move a folder; into one that exists, file by file."""
    if not source.is_symlink() and source.is_dir() and target.is_dir():
        for child in source.iterdir():
            _move(child, target / child.name)
    else:
        os.replace(source, target)
