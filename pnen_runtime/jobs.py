"""Which pictures a command takes, and where each result goes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from glob import glob
from pathlib import Path

from .commands import say
from .encode import check_format
from .errors import ImageError, PnenError, UsageError
from .photo import READ_ONLY, SUFFIXES
from .video_file import SUFFIXES as VIDEOS
from .video_file import check_video_name, is_video

Job = tuple[Path, Path]  # a picture, and the file to write
STANDARD = Path("-")  # as IN standard input, as OUT standard output


def in_and_out(words: Sequence[str], out: str | None) -> tuple[tuple[Path, ...], Path, bool]:
    """Sources and target of a command line, and whether that is a folder, there or to be made: its name says so by /.

    OUT is the last word where it is not given by itself.

    Sources that are patterns, where no shell filled them in, are what they stand for. UsageError for one that is not
    there, and where OUT is missing.
    """
    if out is None and len(words) < 2:
        raise UsageError("expected IN and OUT, got one name; name OUT too")
    named, target = (words, out) if out is not None else (words[:-1], words[-1])
    sources: list[Path] = []
    for word in map(Path, named):
        found = [word] if word == STANDARD or word.exists() else [Path(name) for name in sorted(glob(str(word)))]
        if not found:
            raise UsageError(f"{word}: there is no such file or folder")
        sources += found
    return tuple(sources), Path(target), target.endswith(("/", os.sep)) or Path(target).is_dir()


def written(name: Path) -> Path:
    """The name of the result of a picture: its own, but for formats that are read only, which become JPEG."""
    return name.with_suffix(".jpg") if name.suffix.lower() in READ_ONLY else name


def find_jobs(
    sources: Sequence[Path],
    target: Path,
    *,
    folder: bool = False,
    recursive: bool = False,
    suffix: str | None = None,
    unread: list[Path] | None = None,
) -> list[Job]:
    """A job for each picture; what is no picture is named on stderr, as are folders that may not be read.

    Those are added to `unread`.

    One picture goes to the file `target`, or under its own name into the folder of that name. Several, and those of
    folders, go into the folder; with `recursive` folders of folders become the same tree. `suffix` takes the place of
    their own. UsageError where that cannot be: no picture, no such folder, two results of one name.
    """
    if len(sources) == 1 and not sources[0].is_dir():
        return [_single(sources[0], target, suffix, folder)]
    if STANDARD in (*sources, target):
        raise UsageError("expected one picture with - (standard input or output), got several")
    if target.exists() and not target.is_dir():
        raise UsageError(f"several pictures go into a folder, and {target} is a file")
    if not folder and target.suffix.lower() in (*SUFFIXES, *VIDEOS):
        raise UsageError(f"several pictures go into a folder, and {target} is a file's name; a folder's is {target}/")
    jobs, unread = [], [] if unread is None else unread
    for source in sources:
        if source.is_dir():
            found = _pictures(source, target, recursive, unread, frozenset(source.resolve().parents))
            jobs += [(file, target / written(file.relative_to(source))) for file in found]
        else:
            jobs.append((source, target / written(Path(source.name))))
    if suffix:
        jobs = [(picture, output.with_suffix(suffix)) for picture, output in jobs]
    if not jobs and unread:
        raise PnenError(f"{unread[0]} cannot be read")
    if not jobs:
        raise UsageError(f"{sources[0]} has no pictures ({', '.join(sorted(SUFFIXES))})")
    _check_names(jobs)
    return jobs


def _check_names(jobs: Sequence[Job]) -> None:
    """UsageError where several pictures have results of one name; all of those are said at once."""
    by_output: dict[Path, list[Path]] = {}
    for picture, output in jobs:
        by_output.setdefault(output, []).append(picture)
    twice = [(output, " and ".join(map(str, found))) for output, found in by_output.items() if len(found) > 1]
    if twice:
        (output, pictures), *others = twice
        more = "".join(f", {found} {name}" for name, found in others)
        raise UsageError(f"{pictures} would both become {output}{more}; smooth them one by one")


def _single(source: Path, target: Path, suffix: str | None, folder: bool) -> Job:
    if target == STANDARD:
        if is_video(source):
            raise UsageError(
                f"{source} is a video, which is written to a file, not to standard output; name one as OUT"
            )
        return source, target
    if not folder and not target.parent.is_dir():
        raise UsageError(f"{target.parent} is no folder; make it, or choose another OUT")
    if folder and source == STANDARD:
        raise UsageError(f"{target} is a folder; name the file to write, since standard input has no name")
    if not folder and suffix and target.suffix.lower() != suffix:
        raise UsageError(f"{target} does not end in {suffix}, as --format says; leave one of the two out")
    own = written(Path(source.name))
    output = target / (own.with_suffix(suffix) if suffix else own) if folder else target
    if is_video(output) and not is_video(source):
        raise UsageError(f"expected a video for {output}, by its name ({', '.join(VIDEOS)}), got {source}")
    try:
        (check_video_name if is_video(source) else check_format)(
            output
        )  # the suffix alone: what the format holds is asked of the picture
    except ImageError as error:
        raise UsageError(str(error)) from None
    return source, output


def _pictures(
    folder: Path, target: Path, recursive: bool, unread: list[Path], above: frozenset[Path]
) -> Iterator[Path]:
    """Those of a folder by name, and with `recursive` those of its folders, but for the results' own.

    A link to a folder `above` it leads round in circles, and is left out. A folder that may not be read costs itself
    alone; it is named, and added to `unread`.
    """
    try:
        files = sorted(folder.iterdir())
    except OSError as error:
        say(f"failed {folder}: {error.strerror or error}", err=True)
        unread.append(folder)
        return
    above |= {folder.resolve()}
    for file in files:
        if file.name.startswith("."):
            continue  # other systems keep notes and previews there
        if file.is_dir() and recursive:
            if file.resolve() in above:
                say(f"skipped {file}: a link back to a folder that it is in", err=True)
            elif not (target.exists() and file.samefile(target)):
                yield from _pictures(file, target, recursive, unread, above)
        elif file.is_file() and file.suffix.lower() in SUFFIXES:
            yield file
        else:
            what = "a folder (--recursive takes it)" if file.is_dir() else "no picture of a kind that is read here"
            what = what if file.exists() else "a link that leads nowhere"
            say(f"skipped {file}: {'a video; name it to take it' if is_video(file) else what}", err=True)


def to_be_done(jobs: Sequence[Job], single: bool, overwrite: bool) -> tuple[list[Job], list[Path]]:
    """The jobs whose results are not there yet, all of them with `overwrite`, and the results that are.

    UsageError where a `single` result, or a picture itself, would be overwritten.
    """
    if overwrite:
        return list(jobs), []
    there = [job for job in jobs if job[1] != STANDARD and os.path.lexists(job[1])]  # a link that leads nowhere, too
    lost = there if single else [(picture, output) for picture, output in there if _same(picture, output)]
    if lost:
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        raise UsageError(f"{lost[0][1]}{more} would be overwritten; choose another OUT, or add --overwrite")
    if there:
        say(
            f"skipped {len(there)} of {len(jobs)}: their results are there already; --overwrite makes them anew",
            err=True,
        )
    return [job for job in jobs if job not in there], [output for _, output in there]


def _same(picture: Path, output: Path) -> bool:
    return output.exists() and output.samefile(picture)
