"""The path, the loss weights and guidance, against their definitions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vta.diffusion import guidance, path, weighting

TIMES = jnp.array([0.0, 0.1, 0.5, 0.93, 1.0])


def normal(seed, *shape):
  draw = np.random.default_rng(seed).standard_normal(shape)
  return jnp.asarray(draw, jnp.float32)


@pytest.fixture
def pair():
  return normal(0, 5, 7, 3), normal(1, 5, 7, 3)


def test_velocity_is_the_derivative_of_the_path(pair):
  clean, noise = pair
  _, slope = jax.jvp(
    lambda t: path.add_noise(clean, noise, t), (TIMES,), (jnp.ones(5),)
  )
  v = path.velocity(clean, noise, TIMES)
  # dz/dt = (pi / 2) v on the cosine path.
  np.testing.assert_allclose(slope, np.pi / 2 * v, atol=1e-5)


def test_clean_latents_come_back(pair):
  clean, noise = pair
  noisy = path.add_noise(clean, noise, TIMES)
  v = path.velocity(clean, noise, TIMES)
  np.testing.assert_allclose(path.to_clean(noisy, v, TIMES), clean, atol=1e-6)
  # Time 0 is the clean end: that the inverse agrees would not tell.
  np.testing.assert_allclose(noisy[0], clean[0], atol=1e-6)
  np.testing.assert_allclose(noisy[-1], noise[-1], atol=1e-6)


def test_weightings():
  times = np.linspace(0.02, 0.98, 25)
  snr = (np.cos(np.pi / 2 * times) / np.sin(np.pi / 2 * times)) ** 2
  at = jnp.asarray(times, jnp.float32)
  want = np.minimum(snr, 5) / (snr + 1)
  np.testing.assert_allclose(weighting.min_snr(at), want, rtol=1e-4)
  assert snr.min() < 5 < snr.max()
  ends = weighting.min_snr(jnp.array([0.0, 1.0]))
  np.testing.assert_allclose(ends, 0, atol=1e-12)
  np.testing.assert_array_equal(weighting.uniform(at), 1)
  want = np.minimum(snr + 1, 5) / (snr + 1)
  np.testing.assert_allclose(weighting.clamped(at), want, rtol=1e-4)
  for name in ("uniform", "min_snr", "clamped"):
    by_name = weighting.weights(name, at, gamma=3.0)
    gamma = {} if name == "uniform" else {"gamma": 3.0}
    expected = getattr(weighting, name)(at, **gamma)
    np.testing.assert_array_equal(by_name, expected)
  with pytest.raises(ValueError, match="no weighting 'sigmoid'"):
    weighting.weights("sigmoid", at, gamma=3.0)


def test_times_are_stratified_and_uniform():
  draws = jax.vmap(lambda key: weighting.stratified_times(key, 8))(
    jax.random.split(jax.random.key(0), 4000)
  )
  draws = np.asarray(draws)
  assert draws.min() >= 0
  assert draws.max() < 1
  # One in each eighth, whatever the offset.
  np.testing.assert_array_equal(
    np.sort(np.floor(draws * 8), axis=1), np.tile(np.arange(8), (4000, 1))
  )
  # Each clip's own time is uniform: standard error of the mean is 0.0046.
  np.testing.assert_allclose(draws.mean(axis=0), 0.5, atol=0.02)
  np.testing.assert_allclose(draws.var(axis=0), 1 / 12, atol=0.005)


def test_guidance_of_two_groups():
  none, video, both = branches = normal(2, 3, 2, 4, 5)
  got = guidance.guide(branches, jnp.array([4.5, 3.5]))
  want = none + 4.5 * (video - none) + 3.5 * (both - video)
  np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
  got = guidance.guide_independent(branches, jnp.array([4.5, 3.5]))
  want = none + 4.5 * (video - none) + 3.5 * (both - none)
  np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_scales_per_clip_and_of_one():
  branches = normal(3, 3, 2, 4, 5)
  got = guidance.guide(branches, jnp.array([[1.0, 4.0], [1.0, 2.0]]))
  np.testing.assert_allclose(got[0], branches[2, 0], atol=1e-6)
  alone = guidance.guide(branches, jnp.array([4.0, 2.0]))
  np.testing.assert_allclose(got[1], alone[1], atol=1e-6)
  assert np.abs(alone[0] - branches[2, 0]).max() > 1


def test_guiding_velocities_is_guiding_clean_estimates():
  noisy, branches = normal(4, 2, 4, 5), normal(5, 3, 2, 4, 5)
  time, scales = jnp.array([0.2, 0.7]), jnp.array([4.5, 3.5])
  estimates = jnp.stack([path.to_clean(noisy, v, time) for v in branches])
  got = path.to_clean(noisy, guidance.guide(branches, scales), time)
  want = guidance.guide(estimates, scales)
  np.testing.assert_allclose(got, want, atol=1e-5)
