"""Samples of any model as picture files: the cases of --real and --fake."""

import functools
import os
from pathlib import Path

import numpy as np

from siv_jax.data.decoding import one_line
from siv_jax.data.files import ARRAY_SUFFIXES, FRAME_SUFFIXES, resolve, sniff
from siv_jax.data.folders import natural_key
from siv_jax.data.notes import Notes
from siv_jax.data.pictures import picture_stills
from siv_jax.data.source import Still
from siv_jax.errors import UserError
from siv_jax.metrics.cases import Case, Pending, Size, brought_to, check_size, note_gray, read_reals, shown
from siv_jax.sampling import sample_files as sampling

PAIRINGS = ("names", "set")

_LOSSY = frozenset((".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif", ".jp2", ".j2k", ".jpx"))
_WHITE = (255, 255, 255)


def pending_cases(real: Path, fake: Path, size: Size | None, pairing: str | None) -> list[Pending]:
    """The cases in two folders, each sample's header looked at.

    Args:
      real: a picture, a clip or a folder of frames, of which `fake` holds samples; or a folder with the training
        image, clip or folder of frames of each of several models.
      fake: a folder of samples; or one with, for each name in `real`, a subfolder of that name or files whose
        names begin with it.
      size: what samples and training images are brought to; None: the samples' own.
      pairing: "names" or "set" to say which of the two; None: as the files tell.

    Raises:
      UserError: nothing there, samples that do not go together, or files that do not tell.
    """
    if not resolve(str(fake))[1]:
        raise UserError(f"{one_line(fake)} is a file: --fake takes a folder of samples")
    _, several = resolve(str(real))
    subfolders = {path.name: _samples_below(path) for path in _entries(fake) if path.is_dir()}
    subfolders = {name: found for name, found in subfolders.items() if found}
    files = _pictures_in(fake)
    if files and subfolders:
        raise UserError(
            f"{one_line(fake)} holds both samples and folders of samples, such as {one_line(min(subfolders))}: "
            "give the folder of one kind"
        )
    if not files and not subfolders:
        raise UserError(f"{one_line(fake)} holds no sample: a folder with pictures such as .png is needed")
    if subfolders and (not several or pairing == "set"):
        raise UserError(
            f"{one_line(fake)} holds folders of samples; --real must then be a folder with the training image of each"
        )
    if subfolders:
        groups = _by_name(_training_images(real), subfolders)
    elif several and pairing != "set":
        groups = _told_by_names(real, files, pairing)
    else:
        groups = None
    if groups is None:
        return [_pending(real, fake, fake.resolve().name, files, size)]
    reals = _training_images(real)
    return [_pending(reals[name], fake, name, found, size) for name, found in groups.items()]


def _told_by_names(real: Path, files: list[Path], pairing: str | None) -> dict[str, list[Path]] | None:
    """Samples by the training image that their names begin with; None where they are all of one model."""
    reals = _training_images(real)
    if len(reals) == 1:
        return None
    groups: dict[str, list[Path]] = {}
    for file in files:
        owners = [name for name in reals if _begins_with(file.stem, name)]
        if owners:
            groups.setdefault(max(owners, key=len), []).append(file)
    matched = sum(len(found) for found in groups.values())
    if matched < len(files):
        if pairing == "names":
            odd = next(file for file in files if not any(file in found for found in groups.values()))
            raise UserError(f"{one_line(odd.name)} begins with the name of no training image in {one_line(real)}")
        return None
    if pairing is None and len({_header(file).size for file in files}) == 1:
        raise UserError(
            f"the samples carry the names of the pictures in {one_line(real)}: add --pairing names if each is a "
            "sample of a model of that one picture, or --pairing set if all are of one model of all the pictures"
        )
    return dict(sorted(groups.items(), key=lambda item: natural_key(item[0])))


def _by_name(reals: dict[str, Path], subfolders: dict[str, list[Path]]) -> dict[str, list[Path]]:
    for name in subfolders:
        if name not in reals:
            raise UserError(f"there is no training image named {one_line(name)} for the samples in that folder")
    return dict(sorted(subfolders.items(), key=lambda item: natural_key(item[0])))


def _begins_with(stem: str, name: str) -> bool:
    """Whether `stem` is `name` alone or followed by something that does not go on as a word or number."""
    return stem.startswith(name) and not stem[len(name) :][:1].isalnum()


def _training_images(folder: Path) -> dict[str, Path]:
    """Name without ending -> picture, clip or folder of frames."""
    found: dict[str, Path] = {}
    for path in _entries(folder):
        name = path.name if path.is_dir() else path.stem
        if name in found:
            raise UserError(f"{one_line(folder)} holds two training images named {one_line(name)}")
        found[name] = path
    return found


def _entries(folder: Path) -> list[Path]:
    try:
        names = [name for name in os.listdir(folder) if not name.startswith(".")]
    except OSError as error:
        raise UserError(f"{one_line(folder)} cannot be listed: {error.strerror}") from None
    return [folder / name for name in sorted(names, key=natural_key)]


def _pictures_in(folder: Path) -> list[Path]:
    """Its picture files, without the contact sheet that `siv_jax.sample` puts beside its samples."""
    return [
        path
        for path in _entries(folder)
        if path.suffix.lower() in FRAME_SUFFIXES - ARRAY_SUFFIXES and path.name != sampling.SHEET and not path.is_dir()
    ]


def _samples_below(folder: Path) -> list[Path]:
    """Its pictures; where there are none, those of its only subfolder, as SinGAN writes samples."""
    inner = [path for path in _entries(folder) if path.is_dir()]
    return _pictures_in(folder) or (_samples_below(inner[0]) if len(inner) == 1 else [])


def _header(file: Path) -> Still:
    return _headers([file], Notes())[0]


def _headers(files: list[Path], notes: Notes) -> list[Still]:
    for file in files:
        sniff(file)
    return picture_stills([(one_line(file.name), file) for file in files], _WHITE, notes)


def _pending(real: Path, fake: Path, name: str, files: list[Path], size: Size | None) -> Pending:
    notes = Notes()
    stills = _headers(files, notes)
    odd = next((still for still in stills if still.size != stills[0].size), None)
    if odd and size is None:
        raise UserError(
            f"samples differ in size: {stills[0].name} is {shown(stills[0].size)}, {odd.name} {shown(odd.size)}; "
            "compare at one resolution only, with --size to bring all to it"
        )
    check_size(name, size or stills[0].size)
    others = [path for path in _entries(fake) if path.suffix.lower() in ARRAY_SUFFIXES]
    if others:
        notes.add(one_line(others[0].name), "passed over, samples are read from 8-bit picture files")
    load = functools.partial(_load, name, real, fake, files, stills, size, notes)
    return Pending(name, load)


def _load(
    name: str, real: Path, fake: Path, files: list[Path], stills: list[Still], size: Size | None, notes: Notes
) -> Case:
    size = size or stills[0].size
    lossy = [file for file in files if file.suffix.lower() in _LOSSY]
    if lossy:
        notes.add(
            one_line(lossy[0].name),
            "samples in a lossy format; compression alone adds about .2 to SIFID at 64-d, keep samples as PNG",
        )
    if any(still.size != size for still in stills):
        notes.add(name, f"samples are brought from {shown(stills[0].size)} to {shown(size)}")
    fakes = np.concatenate([brought_to(still.load(notes)[None], size) for still in stills])
    reals = read_reals(real, size, notes)
    note_gray(name, fakes, reals, notes)
    names = tuple(one_line(file.name) for file in files)
    source = {"real": one_line(real), "fake": one_line(fake)}
    return Case(name, fakes, reals, names, source, notes.lines())
