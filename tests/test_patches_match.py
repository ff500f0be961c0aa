"""The searches of matching patches against brute force."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from siv_jax.patches import border, match, pyramid

exact, refine = jax.jit(match.exact), jax.jit(match.refine, static_argnums=5)
patches, describe, framed = jax.jit(match.patches), jax.jit(match.describe), jax.jit(border.framed)
basis, similar = jax.jit(match.basis, static_argnums=1), jax.jit(match.similar, static_argnums=(1, 2))
carry = jax.jit(match.carry, static_argnums=(2, 3))


def windows(picture: np.ndarray) -> np.ndarray:
    """Every 7x7 patch of [h, w, c] as a row, in numpy."""
    h, w, _ = picture.shape
    return np.array([picture[y : y + 7, x : x + 7].ravel() for y in range(h - 6) for x in range(w - 6)])


def brute_force(query: np.ndarray, photos: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Index of the best patch by the completeness score, and every distance."""
    a, b = windows(query).astype(np.float64), np.concatenate([windows(photo) for photo in photos]).astype(np.float64)
    d = ((a[:, None] - b) ** 2).mean(axis=2)
    near = d <= match.TOLERANCE * d.min(axis=1, keepdims=True)
    return np.argmin(np.where(near, d / (alpha + d.min(axis=0)), np.inf), axis=1), d


def flat(field: jax.Array, photos: np.ndarray) -> np.ndarray:
    _, h, w, _ = photos.shape
    frame, row, column = np.moveaxis(np.asarray(field), -1, 0)
    return ((frame * (h - 6) + row) * (w - 6) + column).ravel()


def smooth(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Random values with structure over some pixels, in [0, 1]."""
    n, h, w, c = shape
    small = jnp.asarray(rng.random((n, h // 4 + 2, w // 4 + 2, c)), jnp.float32)
    return np.clip(np.asarray(jax.image.resize(small, shape, "cubic")), 0, 1)


@pytest.mark.parametrize("alpha", [1e-3, 1.0])
@pytest.mark.parametrize(("frames", "channels", "chunk"), [(1, 3, 1 << 22), (2, 1, 500)])
def test_exact_search_is_brute_force(monkeypatch, alpha, frames, channels, chunk):
    monkeypatch.setattr(match, "_CHUNK", chunk)
    rng = np.random.default_rng(frames)
    query, photos = smooth(rng, 1, 13, 15, channels)[0], smooth(rng, frames, 12, 17, channels)
    field, d = jax.jit(lambda *given: match.exact(*given))(patches(query[None])[0], patches(photos), jnp.float32(alpha))
    expected, distances = brute_force(query, photos, alpha)
    assert field.shape == (7, 9, 3) and field.dtype == jnp.int32
    assert flat(field, photos).tolist() == expected.tolist()
    np.testing.assert_allclose(np.asarray(d).ravel(), distances[np.arange(63), expected], rtol=1e-3, atol=1e-7)


def test_a_small_alpha_uses_more_of_the_photo():
    rng = np.random.default_rng(3)
    query, photo = smooth(rng, 1, 20, 20, 3), smooth(rng, 1, 20, 20, 3)
    used = []
    for alpha in (1e2, 1e-3):
        field, _ = exact(patches(query)[0], patches(photo), jnp.float32(alpha))
        used.append(len(np.unique(flat(field, photo))))
    assert used[1] > 1.3 * used[0]


def test_no_patch_is_used_where_nothing_is_like_it():
    """Of a photo half dark, half bright, a dark picture takes the dark half only, whatever alpha says."""
    rng = np.random.default_rng(6)
    photo = np.concatenate([0.1 * smooth(rng, 1, 20, 20, 1), 0.9 + 0.1 * smooth(rng, 1, 20, 20, 1)], axis=2)
    query = 0.1 * smooth(rng, 1, 20, 20, 1)
    field, _ = exact(patches(query)[0], patches(photo), jnp.float32(1e-6))
    assert int(jnp.max(field[..., 2])) <= 20 - 4


def test_patches_are_windows():
    picture = np.random.default_rng(4).random((1, 9, 11, 2), np.float32)
    np.testing.assert_array_equal(patches(picture)[0].reshape(15, 98), windows(picture[0]))


def test_all_axes_keep_every_distance(monkeypatch):
    monkeypatch.setattr(match, "_STRIP", 5)
    photo = smooth(np.random.default_rng(5), 1, 20, 21, 1)
    described = np.asarray(describe(photo, basis(photo, 49)), np.float32).reshape(-1, 49)
    rows = windows(photo[0])
    found, true = (((x[:50] - x[50:100]) ** 2).sum(axis=1) for x in (described, rows))
    np.testing.assert_allclose(found, true, rtol=1e-2, atol=1e-4)


def test_strips_make_every_row(monkeypatch):
    monkeypatch.setattr(match, "_STRIP", 4)
    for height in (3, 8, 10):
        rows, twice = match.by_strips(
            lambda start, rows: (start + jnp.arange(rows, dtype=jnp.int32), jnp.full((rows, 2), 7.0)), height
        )
        assert rows.tolist() == list(range(height)) and twice.shape == (height, 2) and (twice == 7).all()


def test_similar_patches_are_brute_force():
    photos = smooth(np.random.default_rng(6), 2, 14, 16, 1)
    table = np.asarray(similar(patches(photos), 2, 3))
    assert table.shape == (2, 8, 10, 2, 2)
    for frame, photo in enumerate(photos):
        rows = windows(photo).astype(np.float64)
        d = ((rows[:, None] - rows) ** 2).sum(axis=2)
        y, x = np.divmod(np.arange(80), 10)
        first = np.where(np.maximum(abs(y[:, None] - y), abs(x[:, None] - x)) < 3, np.inf, d).argmin(axis=1)
        assert (table[frame, ..., 0, :].reshape(80, 2) == np.stack(np.divmod(first, 10), axis=1)).all()
        second = table[frame, ..., 1, :].reshape(80, 2) - np.stack(np.divmod(first, 10), axis=1)
        assert (np.abs(second).max(axis=1) >= 3).all()


def positions(h: int, w: int) -> np.ndarray:
    y, x = np.meshgrid(np.arange(h), np.arange(w), indexing="ij")
    return np.stack([np.zeros_like(y), y, x], axis=-1).astype(np.int32)


def test_carrying_keeps_the_identity_and_scales_displacements():
    weight = jnp.arange(10 * 14, dtype=jnp.float32).reshape(10, 14)
    field, carried = carry(jnp.asarray(positions(10, 14)), weight, (20, 35), (20, 35))
    np.testing.assert_array_equal(field, positions(20, 35))
    assert carried[0, 0] == weight[0, 0] and carried[-1, -1] == weight[-1, -1]
    moved = jnp.asarray(positions(10, 14) + np.int32([0, 3, 0]))
    field, _ = carry(moved, weight, (20, 28), (40, 28))
    np.testing.assert_array_equal(field, positions(20, 28) + np.int32([0, 6, 0]))
    field, _ = carry(moved, weight, (20, 28), (20, 28))
    assert np.asarray(field)[..., 1].max() == 19


@pytest.mark.parametrize("channels", [1, 3])
def test_refinement_comes_near_to_the_exact_search(channels):
    """From exact matches at half the size: the mean distance is at most 1.5 times that of the nearest neighbours."""
    rng = np.random.default_rng(7)
    photo = smooth(rng, 1, 48, 56, channels)
    query = np.concatenate([photo[:, ::-1, 20:44], photo[:, :, 4:28]], axis=2)
    query = query + rng.normal(0, 0.02, query.shape)
    small, rough = (pyramid.resize(picture, (24, picture.shape[2] // 2)) for picture in (photo, query))
    photo, query, small, rough = (framed(jnp.asarray(x, jnp.float32)) for x in (photo, query, small, rough))
    alpha = jnp.float32(1e3)
    field, d = exact(patches(rough)[0], patches(small), alpha)
    field, _ = carry(field, d, (48, 48), (48, 56))
    axes = basis(photo, min(32, 49 * channels))
    keys, described = describe(photo, axes), describe(query, axes)[0]
    table = similar(describe(small, axes), 2, 4)
    distances = []
    for _ in range(3):
        field, d = refine(described, keys, field, table, alpha, len(axes))
        distances.append(np.asarray(d))
    assert (distances[2] <= distances[0] + 1e-6).all()
    rows = windows(np.asarray(photo[0]))[flat(field, photo)]
    true = ((windows(np.asarray(query[0])) - rows) ** 2).mean(axis=1)
    _, least = exact(patches(query)[0], patches(photo), alpha)
    assert true.mean() < 1.5 * float(least.mean())
