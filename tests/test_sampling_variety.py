"""Each sample as the one of several draws that differs most from the samples before it."""

import types

import jax.numpy as jnp
import numpy as np
import pytest
import toy_runs
from PIL import Image

import siv_jax
from siv_jax.config import DataConfig
from siv_jax.data import open_source
from siv_jax.models.interface import Samples
from siv_jax.patches import moved
from siv_jax.patches.render import Renderer
from siv_jax.sampling import variety, views
from siv_jax.sampling.drawer import Drawer
from siv_jax.sampling.pictures import to_uint8
from siv_jax.sampling.previews import Preview, Previews
from siv_jax.sampling.rendering import as_float


class Gray:
    """Draws a picture of one gray level: its only latent, in [-1, 1]."""

    def noise(self, seed, start, count, size=None):
        return np.random.default_rng(seed).uniform(-1, 1, (5000, 1)).astype(np.float32)[start : start + count]

    def draw(self, weights, noise, size=None, image=None, start_scale=0):
        return Samples(noise[:, :, None, None] * np.ones((24, 32, 3), np.float32))


@pytest.fixture(scope="module")
def drawer():
    return Drawer(Gray(), types.SimpleNamespace(height=24, width=32, channels=3), (24, 32))


def latents(drawer, candidates, start, count):
    return variety.latents(drawer, {}, candidates, 7, start, count)


@pytest.mark.parametrize("candidates", [2, 5])
def test_a_sample_is_the_draw_whose_nearest_sample_is_farthest(drawer, candidates):
    rows = Gray().noise(7, 0, 12 * candidates)[:, 0].reshape(12, candidates)
    expected = [rows[0, 0]]
    for row in rows[1:]:
        expected.append(max(row, key=lambda gray: min(abs(gray - other) for other in expected)))
    found = latents(drawer, candidates, 0, 12)
    np.testing.assert_array_equal(found[:, 0], expected)
    assert min(np.diff(np.sort(found[:, 0]))) > min(np.diff(np.sort(rows[:, 0])))


def test_a_sample_depends_on_its_number_alone(drawer):
    several = latents(drawer, 3, 0, 100)
    for start, count in ((2, 3), (31, 2), (32, 1), (60, 40), (99, 1)):
        np.testing.assert_array_equal(latents(drawer, 3, start, count), several[start : start + count])
    assert latents(drawer, 3, 5, 0).shape == (0, 1)


def test_groups_come_one_after_another(drawer):
    several = latents(drawer, 3, 0, 100)
    groups = variety.in_groups(drawer, {}, 3, 7, 30, 70)
    sizes = []
    for group in groups:
        np.testing.assert_array_equal(group, several[30 + sum(sizes) :][: len(group)])
        sizes.append(len(group))
    assert sizes == [2, 32, 32, 4]


def previews(values, off=None, copied=None, apart=None) -> list[Preview]:
    """Of draws whose small renderings hold `values` [n, D]."""
    off, copied = (np.zeros(len(values)) if each is None else each for each in (off, copied))
    apart = np.full(len(values), np.inf) if apart is None else apart
    return [Preview(*each) for each in zip(np.asarray(values, float), off, copied, apart, strict=True)]


def test_draws_that_are_not_finite_are_passed_over():
    draws = np.random.default_rng(0).normal(size=(12, 6))
    draws[3:5] = np.nan
    draws[6:8] = np.inf
    found = variety.farthest(previews(draws), 3)
    assert found[1] == 5 and found[2] == 8
    # A sample without a finite draw takes the first, and the others are chosen as if it were not there.
    draws = np.concatenate([draws, np.full((3, 6), np.nan), draws[9:] + 1])
    again = variety.farthest(previews(draws), 3)
    assert again[4] == 12
    np.testing.assert_array_equal(again[:4], found)
    assert again[5] == variety.farthest(previews(np.delete(draws, range(12, 15), axis=0)), 3)[4] + 3


def test_a_sample_is_among_the_draws_whose_colours_fit_best():
    """Of five draws these are two, of eight four, of two both."""
    random = np.random.default_rng(0)
    for candidates, kept in ((5, 2), (8, 4), (2, 2), (1, 1)):
        off, draws = random.uniform(size=40 * candidates), random.normal(size=(40 * candidates, 2))
        found = variety.farthest(previews(draws, off), candidates)
        ranks = np.argsort(np.argsort(off.reshape(40, candidates))).ravel()[found]
        assert sorted(set(ranks)) == [*range(kept)]
        # Of the fitting ones it is the farthest.
        fitting = np.argsort(off[candidates : 2 * candidates])[:kept] + candidates
        assert found[1] == max(fitting, key=lambda draw: np.sum((draws[draw] - draws[found[0]]) ** 2))


def test_a_sample_differs_from_the_photo_half_as_much_as_from_the_others():
    """Of a photo of zeros: the first sample is the farthest from it, others are weighed against the samples before."""
    values = np.array([1.0, -3.0, -2.0, -2.9, 0.9, 0.4])
    found = variety.farthest(previews(values[:, None], apart=values**2), 3)
    assert found[0] == 1
    # 4 * 0.9^2 < (0.9 + 3)^2 and 4 * 0.4^2 is less, and -2.9 lies beside the first.
    assert found[1] == 4


def test_copies_are_taken_only_where_there_is_nothing_else():
    off = np.tile(np.arange(5.0), 4)
    copied = np.zeros(20)
    copied[0] = 0.8
    copied[5:7] = 0.9, 0.7
    copied[10:15] = 0.9, 0.8, 0.95, 0.7, 0.9
    # The first takes the second of its two fitting draws; the second the most fitting of the others; the third the one
    # that is least a copy; the last the farther of two.
    found = variety.farthest(previews(np.arange(20.0)[:, None], off, copied), 5)
    np.testing.assert_array_equal(found, [1, 7, 13, 16])


def test_the_picture_moved_as_a_whole_is_a_copy_and_its_pieces_elsewhere_are_none():
    photo = np.random.default_rng(0).uniform(-1, 1, (24, 32, 3)).astype(np.float32)
    shifted = np.roll(photo, (2, -3), axis=(0, 1))
    pieces = np.concatenate([photo[12:], photo[:12]])[:, np.r_[16:32, 0:16]]
    noise = np.random.default_rng(1).uniform(-1, 1, photo.shape).astype(np.float32)
    renderer = Renderer(photo[None], (24, 32), rough_size=(24, 32))
    found = [moved.share(renderer.with_matches(picture[None])[1][0]) for picture in (photo, shifted, pieces, noise)]
    whole, moved_, cut, other = found
    assert whole == 1 and 0.6 < moved_ < 1 and 0.1 < cut < 0.4 and other < 0.3


def test_a_share_is_counted_to_a_pixel():
    rows, columns = np.indices((4, 5))
    matches = np.stack([0 * rows, rows, columns], axis=-1).astype(np.int32)
    assert moved.share(matches) == 1
    matches[0, 0, 1:] = 1, 1  # a pixel down and to the right: moved alike still
    matches[3, 4, 1:] = 3, 2  # two pixels to the left
    matches[3, 0, 1:] = 0, 0  # three up
    assert moved.share(matches) == 18 / 20


def test_rendering_tells_copies_of_the_photo():
    """A model that draws the photo in most of its draws, and mixed up in the others: its samples are the others."""
    source = open_source(DataConfig(path="example:balloons", max_size=64))
    photo = source.resized(24, 32)[0] / np.float32(127.5) - 1
    mixed = np.ascontiguousarray(photo[:, np.r_[16:32, 0:16]])

    class Sampler(Gray):
        def draw(self, weights, noise, size=None, image=None, start_scale=0):
            new = (noise > 0.5)[:, :, None, None]
            return Samples(jnp.where(new, mixed, photo) + 0.05 * noise[:, :, None, None])

    drawer = Drawer(Sampler(), types.SimpleNamespace(height=24, width=32, channels=3), (24, 32))
    as_they_come = variety.latents(drawer, {}, 3, 7, 0, 12)
    found = variety.latents(drawer, {}, 3, 7, 0, 12, variety.previewer(drawer, source))
    assert (as_they_come <= 0.5).any()
    of_each = Sampler().noise(7, 0, 12 * 3).reshape(12, 3)
    np.testing.assert_array_equal((found > 0.5)[:, 0], (of_each > 0.5).any(axis=1))


@pytest.fixture(scope="module")
def balloons():
    return open_source(DataConfig(path="example:balloons", max_size=64))


def test_a_preview_tells_colours_of_other_shares_and_copies_seen_from_nearer(balloons):
    size = (24, 32)
    photo = balloons.resized(*size)[0] / np.float32(127.5) - 1
    look, whole = Previews(balloons, size), np.full(3, 9.0)
    itself, mirrored = look(photo, whole), look(photo[:, ::-1], whole)
    nearer = look(photo, np.array([-0.5, 0.3, -0.4]))
    sky = look(np.concatenate([photo[:8]] * 3), whole)
    assert itself.picture.shape == (*look.size, 3) and itself.copied > 0.95 and nearer.copied > 0.5
    assert max(itself.apart, nearer.apart) < 0.25 * min(mirrored.apart, sky.apart)
    assert mirrored.copied < 0.5 and sky.copied < 0.5
    assert itself.off < mirrored.off < sky.off / 2
    nothing = look(np.full_like(photo, np.nan), whole)
    assert np.isnan(nothing.picture).all() and nothing.picture.shape == itself.picture.shape


@pytest.mark.parametrize("shape", [(1, 40, 60, 1), (1, 30, 300, 3), (5, 20, 30, 3), (2, 24, 20, 8), (1, 16, 9, 2)])
def test_previews_of_any_source(shape, tmp_path):
    """Of a picture itself the colours are the same, and of its negative they are not; a clip has no copies."""
    rows, columns = np.indices(shape[1:3]) / np.array(shape[1:3])[:, None, None]
    waves = [np.sin(3 * frame + 5 * rows) * np.cos(channel + 7 * columns) for frame, channel in np.ndindex(shape[::3])]
    frames = np.moveaxis(np.reshape(waves, (shape[0], shape[3], *shape[1:3])), 1, -1).astype(np.float32)
    frames = ((frames + 1) / 2) ** 3
    if len(frames) == 1:
        np.save(tmp_path / "one.npy", frames[0])
    else:
        (tmp_path / "one.npy").mkdir()
        for number, frame in enumerate(frames):
            np.save(tmp_path / "one.npy" / f"{number}.npy", frame)
    source = open_source(DataConfig(path=str(tmp_path / "one.npy")))
    assert source.num_frames == len(frames) and source.channels == shape[-1]
    image = as_float(source.resized(*shape[1:3]), source.format)[0]
    look, whole = Previews(source, image.shape[:2]), np.full(3, 9.0)
    itself, negative = look(image, whole), look(-image, whole)
    assert itself.picture.shape == (*look.size, shape[-1]) and np.isfinite(itself.picture).all()
    assert itself.off < negative.off
    if len(frames) == 1:
        assert itself.apart < negative.apart and itself.copied > negative.copied
    else:
        assert itself.apart == np.inf and itself.copied == 0


def test_a_source_without_patches_has_no_previews(drawer, tmp_path):
    Image.new("RGB", (400, 4)).save(tmp_path / "strip.png")
    assert variety.previewer(drawer, open_source(DataConfig(path=str(tmp_path / "strip.png")))) is None


@pytest.mark.parametrize("frames", [1, 3])
def test_one_seed_gives_the_same_samples_everywhere(tmp_path, frames):
    """While training, and later by every way: of a photo, and of a clip."""
    pictures = np.random.default_rng(0).integers(0, 256, (frames, 24, 32, 3)).astype(np.uint8)
    (tmp_path / "input").mkdir()
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(tmp_path / "input" / f"{number}.png")
    run = tmp_path / "run"
    path = tmp_path / "input" / ("0.png" if frames == 1 else "")
    toy_runs.train(run, data__path=str(path), data__max_size=16, candidates=3, rendered_size=1024)
    model = siv_jax.load(run)
    assert model.record.num_frames == frames
    for folder, expected in (("samples", model.sample(4)), ("rendered", model.render(4))):
        found = [np.asarray(Image.open(file)) for file in sorted((run / folder).glob("sample_*.png"))]
        np.testing.assert_array_equal(found, expected)
    again = model.rendered(4, latents=model.latents(4))
    np.testing.assert_array_equal([to_uint8(one.images)[0] for one in again], model.render(4))


def test_a_view_is_a_part_of_the_picture():
    """Of a picture whose values are its coordinates a view shows where it lies."""
    rows, columns = np.indices((20, 30), np.float32)
    image = np.stack([rows + 0.5, columns + 0.5], axis=-1)
    np.testing.assert_allclose(views.seen(image, np.full(3, 40.0)), image, atol=1e-5)
    random = np.random.default_rng(0)
    for latents in random.normal(size=(50, 8)):
        seen = views.seen(image, latents)
        assert seen.shape == image.shape and seen.dtype == np.float32
        share = seen[11, 7, 0] - seen[10, 7, 0]
        assert 0.83 <= share <= 1 and seen[5, 16, 1] - seen[5, 15, 1] == pytest.approx(share, abs=1e-4)
        for axis, side in enumerate((20, 30)):
            first, last = seen[..., axis].min() - share / 2, seen[..., axis].max() + share / 2
            assert first > -0.01 and last < side + 0.01 and last - first == pytest.approx(share * side, abs=0.2)
    # The second latent moves it down, the third to the right, as far as it goes.
    for down in (-9, 9):
        for right in (-9, 9):
            corner = views.seen(image, np.array([-9.0, down, right]))
            rows, columns = (corner[..., axis] for axis in (0, 1))
            assert (rows.min() < 0.51) == (down < 0) and (rows.max() > 19.49) == (down > 0)
            assert (columns.min() < 0.51) == (right < 0) and (columns.max() > 29.49) == (right > 0)
    # The last views differ, and along a walk they change little by little.
    near = views.seen(image, latents + 0.01)
    assert 0 < np.abs(near - seen).max() < 0.1
    np.testing.assert_array_equal(views.seen(image, np.zeros((2, 2, 4))), views.seen(image, np.zeros(1)))


def test_a_run_draws_what_its_config_says(tmp_path):
    toy_runs.train(tmp_path / "run", candidates=3)
    model = siv_jax.load(tmp_path / "run")
    draws = model._drawer.noise(5, 0, 12).reshape(4, 3, -1)
    chosen = model.latents(4, seed=5)
    assert (chosen[:, None] == draws).all(axis=-1).any(axis=1).all()
    assert (chosen != draws[:, 0]).any()
    np.testing.assert_array_equal(model.latents(2, seed=5, start=2), chosen[2:])
    with Image.open(tmp_path / "run" / "samples" / "sample_00001.png") as image:
        np.testing.assert_array_equal(np.asarray(image), model.sample(2)[1])
