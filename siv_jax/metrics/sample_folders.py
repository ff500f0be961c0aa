"""Samples of any model as picture files: the cases of --real and --fake."""

import functools
from pathlib import Path

import numpy as np

from siv_jax.config import DataConfig
from siv_jax.data import open_source
from siv_jax.data.decoding import one_line
from siv_jax.data.files import ARRAY_SUFFIXES, FRAME_SUFFIXES, resolve, sniff
from siv_jax.data.folders import entries, natural_key
from siv_jax.data.notes import Notes
from siv_jax.data.pictures import picture_stills
from siv_jax.data.source import Still
from siv_jax.errors import UserError
from siv_jax.metrics.cases import Case, PendingCase, Size, brought_to, check_size, make_case, shown
from siv_jax.sampling.pair_files import MASK
from siv_jax.sampling.sample_files import SHEET

_LOSSY = frozenset((".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif", ".jp2", ".j2k", ".jpx"))
_WHITE = (255, 255, 255)


def pending_cases(real: Path, fake: Path, size: Size | None, pairing: str | None) -> list[PendingCase]:
    """The cases in two folders, each sample's header looked at.

    Args:
      real: a picture, a clip or a folder of frames, of which `fake` holds samples; or a folder with the training
        image, clip or folder of frames of each of several models.
      fake: a folder of samples; or one with, for each name in `real`, a subfolder of that name or files whose
        names begin with it.
      size: what samples and training images are brought to; None: the samples' own.
      pairing: "names" or "set" to say which of the two; None: as the files tell.

    Raises UserError: nothing there, samples that do not go together, or files that do not tell.
    """
    if not resolve(str(fake))[1]:
        raise UserError(f"{one_line(fake)} is a file: --fake takes a folder of samples")
    _, several = resolve(str(real))
    below = {path.name: _samples_below(path) for path in entries(fake) if path.is_dir()}
    subfolders = {name: found for name, found in below.items() if found}
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
    reals = _training_images(real) if several and pairing != "set" else {}
    groups = subfolders or _by_beginning(reals, files, real, pairing)
    if not groups:
        return [_pending(real, fake, fake.resolve().name, files, size)]
    unknown = next((name for name in groups if name not in reals), None)
    if unknown:
        raise UserError(f"there is no training image named {one_line(unknown)} for the samples in that folder")
    return [_pending(reals[name], fake, name, groups[name], size) for name in sorted(groups, key=natural_key)]


def of_picture(real: Path, fake: Path, name: str, size: Size, most: int, alone: bool) -> PendingCase:
    """The case of one training image, clip or folder of frames `real`, called `name`.

    Args:
      fake: a folder of samples with a subfolder of that name, or files whose names begin with it; or, if `alone`, all
        of whose files are samples of this one.
      most: the first so many samples are taken.

    Raises UserError: no sample of it there.
    """
    if not fake.is_dir():
        raise UserError(f"{one_line(fake)} is no folder: give a folder of samples")
    own = _samples_below(fake / name) if (fake / name).is_dir() else []
    files = own or [file for file in _pictures_in(fake) if _begins_with(file.stem, name)]
    if not files and alone:
        files = _samples_below(fake)
    if not files:
        raise UserError(f"{one_line(fake)} holds no sample of {name}: neither a folder {name} nor files named {name}_*")
    return _pending(real, fake, name, files[:most], size)


def _by_beginning(
    reals: dict[str, Path], files: list[Path], real: Path, pairing: str | None
) -> dict[str, list[Path]] | None:
    """Samples by the training image that their names begin with; None where they are all of one model."""
    if len(reals) < 2:
        return None
    groups: dict[str, list[Path]] = {}
    for file in files:
        owners = [name for name in reals if _begins_with(file.stem, name)]
        if owners:
            groups.setdefault(max(owners, key=len), []).append(file)
        elif pairing == "names":
            raise UserError(f"{one_line(file.name)} begins with the name of no training image in {one_line(real)}")
        else:
            return None
    if pairing is None and len({_headers([file], Notes())[0].size for file in files}) == 1:
        raise UserError(
            f"the samples carry the names of the pictures in {one_line(real)}: add --pairing names if each is a "
            "sample of a model of that one picture, or --pairing set if all are of one model of all the pictures"
        )
    return groups


def _begins_with(stem: str, name: str) -> bool:
    """Whether `stem` is `name` alone or followed by something that does not go on as a word or number."""
    return stem.startswith(name) and not stem[len(name) :][:1].isalnum()


def _training_images(folder: Path) -> dict[str, Path]:
    """Name without ending -> picture, clip or folder of frames."""
    found: dict[str, Path] = {}
    for path in entries(folder):
        name = path.name if path.is_dir() else path.stem
        if name in found:
            raise UserError(f"{one_line(folder)} holds two training images named {one_line(name)}")
        found[name] = path
    return found


def _pictures_in(folder: Path) -> list[Path]:
    """Its picture files without the contact sheet and the masks of samples."""
    kinds = FRAME_SUFFIXES - ARRAY_SUFFIXES
    files = [path for path in entries(folder) if path.suffix.lower() in kinds and not path.is_dir()]
    return [path for path in files if path.name != SHEET and not path.name.startswith(MASK)]


def _samples_below(folder: Path) -> list[Path]:
    """Its pictures; where there are none, those of its only subfolder, as SinGAN writes samples."""
    inner = [path for path in entries(folder) if path.is_dir()]
    return _pictures_in(folder) or (_samples_below(inner[0]) if len(inner) == 1 else [])


def _headers(files: list[Path], notes: Notes) -> list[Still]:
    for file in files:
        sniff(file)
    return picture_stills([(one_line(file.name), file) for file in files], _WHITE, notes)


def _pending(real: Path, fake: Path, name: str, files: list[Path], size: Size | None) -> PendingCase:
    notes = Notes()
    stills = _headers(files, notes)
    first = stills[0]
    odd = next((still for still in stills if still.size != first.size), None)
    if odd and size is None:
        raise UserError(
            f"samples differ in size: {first.name} is {shown(first.size)}, {odd.name} {shown(odd.size)}; "
            "compare at one resolution only, with --size to bring all to it"
        )
    size = size or first.size
    check_size(name, size)
    others = [path for path in entries(fake) if path.suffix.lower() in ARRAY_SUFFIXES]
    if others:
        notes.add(one_line(others[0].name), "passed over, samples are read from 8-bit picture files")
    lossy = [file for file in files if file.suffix.lower() in _LOSSY]
    if lossy:
        notes.add(
            one_line(lossy[0].name),
            "samples in a lossy format; compression alone adds about .2 to SIFID at 64-d, keep samples as PNG",
        )
    if odd or first.size != size:
        notes.add(name, f"samples are brought from {shown(first.size)} to {shown(size)}")
    source = {"real": one_line(real), "fake": one_line(fake)}
    return functools.partial(_load, name, stills, size, real, source, notes)


def _load(name: str, stills: list[Still], size: Size, real: Path, source: dict, notes: Notes) -> Case:
    fakes = np.concatenate([brought_to(still.load(notes)[None], size) for still in stills])
    training = open_source(DataConfig(path=str(real)))
    return make_case(name, fakes, tuple(still.name for still in stills), training, source, notes)
