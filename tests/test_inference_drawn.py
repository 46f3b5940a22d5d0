"""A drawn curve is obeyed, block by block, and nothing else is touched."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from vta.inference import drawn
from vta.models.autoencoder import Autoencoder, AutoencoderConfig
from vta.signals import loudness

CODEC = AutoencoderConfig(
  latents=4,
  width=8,
  multiples=(2,),
  strides=(4,),
  dilations=(1,),
  groups=((24, 4), (16, 8), (18, 16)),
  residual_scale=0.1,
)
SAMPLES = 2 * 44_100
LATENTS = 45  # one more than the samples need
SHARE = drawn.overlaps(SAMPLES, hop=CODEC.hop, latents=LATENTS)


def test_overlaps_are_shares_of_samples():
  edges = loudness.block_edges(SAMPLES)
  want = np.zeros((12, LATENTS))
  for k in range(12):
    for sample in range(edges[k], edges[k + 1]):
      want[k, sample // CODEC.hop] += 1.0 / (edges[k + 1] - edges[k])
  np.testing.assert_allclose(SHARE, want, atol=1e-6)
  np.testing.assert_allclose(SHARE.sum(axis=1), 1.0, atol=1e-6)
  assert not SHARE[:, -1].any()


def _obey(latents, lufs, asked):
  return jax.jit(functools.partial(drawn.obey, share=SHARE))(
    latents, jnp.asarray(lufs, jnp.float32), jnp.asarray(asked)
  )


def test_the_decoded_wave_has_the_curve():
  """Steps of 10 dB, a side of 12 dB, silence: within 2 LU, most within 0.5."""
  rng = np.random.default_rng(1)
  latents = jnp.asarray(rng.normal(size=(2, LATENTS, 4)), jnp.float32)
  lufs = np.repeat([-40.0, -30.0, -45.0, -70.0, -25.0, -35.0], 2)
  lufs = np.stack([lufs, np.maximum(lufs - 12.0, -70.0)], axis=-1)
  moved = _obey(latents, np.stack([lufs, lufs]), [True, False])
  np.testing.assert_array_equal(moved[1], latents[1])
  np.testing.assert_array_equal(moved[0, :, 2:], latents[0, :, 2:])

  decode = functools.partial(
    Autoencoder(CODEC).init_with_output, method="decode"
  )
  waves, _ = jax.jit(decode)(jax.random.key(0), moved)
  obtained = loudness.momentary(np.asarray(waves[0, :SAMPLES])).lufs
  error = np.abs(obtained - lufs)
  heard = lufs > loudness.FLOOR
  assert np.median(error[heard]) < 0.5
  # A block's neighbour leaks into it: no more than 2 LU, but into silence.
  assert error[heard].max() < 2.0
  assert obtained[~heard].max() < -55.0
  other = loudness.momentary(np.asarray(waves[1, :SAMPLES])).lufs
  assert np.abs(other - lufs)[heard].mean() > 10.0


def test_what_is_softer_than_silence_stays():
  quiet = jnp.zeros((1, LATENTS, 4)).at[..., 0].set(-2.5)  # -78 LUFS
  lufs = np.full((1, 12, 2), loudness.FLOOR)
  np.testing.assert_allclose(
    _obey(quiet, lufs, [True])[..., :2], quiet[..., :2], atol=1e-2
  )
