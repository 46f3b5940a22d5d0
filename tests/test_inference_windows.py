"""Windows cover a clip without gaps, and joining undoes splitting."""

import jax.numpy as jnp
import numpy as np
import pytest

from vta.inference import mixing, windows


@pytest.mark.parametrize("latents", [1, 22, 95, 96, 97, 168, 169, 1292])
def test_split_and_join_are_inverse(latents):
  cover = windows.cover(latents, size=96)
  assert cover.length >= latents
  # No window lies wholly beyond the clip.
  assert cover.starts[-1] < latents
  x = np.random.default_rng(0).normal(size=(2, cover.length, 3))
  x = jnp.asarray(x, jnp.float32)
  parts = cover.split(x)
  assert parts.shape == (2 * len(cover.starts), 96, 3)
  np.testing.assert_array_equal(parts[0], x[0, :96])
  np.testing.assert_allclose(cover.join(parts), x, atol=1e-6)


def test_disagreeing_windows_are_averaged_across_the_overlap():
  cover = windows.cover(150, size=96)
  parts = jnp.stack([jnp.zeros((96, 1)), jnp.ones((96, 1))])
  joined = np.asarray(cover.join(parts))[0, :, 0]
  assert (joined[:72] == 0).all()
  assert (joined[96:] == 1).all()
  assert (np.diff(joined[72:96]) > 0).all()


def test_a_mix_is_the_sum_of_its_stems_under_the_ceiling():
  rng = np.random.default_rng(1)
  tracks = [rng.normal(size=(1000, 2)).astype(np.float32) for _ in range(3)]
  wave, stems, gain_db = mixing.mix(tracks)
  assert np.abs(wave).max() <= 10 ** (-1 / 20)
  assert gain_db < 0
  np.testing.assert_allclose(np.sum(stems, axis=0), wave, atol=1e-6)
  quiet, _, gain_db = mixing.mix([0.01 * track for track in tracks])
  np.testing.assert_array_equal(
    quiet, np.float32(1.0) * np.sum([0.01 * t for t in tracks], axis=0)
  )
  assert gain_db == 0


@pytest.mark.parametrize(
  ("pan", "left", "right"), [(0.0, 1.0, 1.0), (-1.0, 2**0.5, 0.0)]
)
def test_pan_is_a_balance_of_equal_power(pan, left, right):
  wave = np.ones((4, 2), np.float32)
  placed = mixing.place(wave, gain_db=0.0, pan=pan)
  np.testing.assert_allclose(placed, [[left, right]] * 4, atol=1e-6)
  louder = mixing.place(wave, gain_db=20.0, pan=pan)
  np.testing.assert_allclose(louder, 10 * placed, rtol=1e-6)
