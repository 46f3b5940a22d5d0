"""Vectors that stand in LanguageBind's place: moments, and zeros after them."""

import numpy as np
import pytest

from vta.conditioning import small_vectors


def test_pictures_and_sounds_are_their_moments():
  rng = np.random.default_rng(0)
  seen = rng.normal(2.0, 3.0, (50, 4)).astype(np.float32)
  expected = [*seen.mean(axis=0), *seen.std(axis=0), 0.0, 0.0]
  for vector in (small_vectors.video, small_vectors.audio):
    np.testing.assert_allclose(vector(seen, width=10), expected, rtol=1e-5)
    # Without order.
    shuffled = vector(rng.permutation(seen), width=10)
    np.testing.assert_allclose(shuffled, expected, rtol=1e-5)


def test_a_caption_is_the_mean_of_its_tokens():
  tokens = np.arange(12, dtype=np.float32).reshape(4, 3)
  mask = np.array([True, True, False, False])
  np.testing.assert_allclose(
    small_vectors.text(tokens, mask, width=5), [1.5, 2.5, 3.5, 0.0, 0.0]
  )


def test_what_does_not_fit_is_refused():
  with pytest.raises(ValueError, match="8 numbers do not fit 7"):
    small_vectors.video(np.zeros((3, 4), np.float32), width=7)
