"""The codec against diffusers, and what its front end promises."""

import dataclasses
import functools

import diffusers
import jax
import jax.numpy as jnp
import numpy as np
import pyloudnorm
import pytest
import scipy.fft
import scipy.linalg
import torch

from vta.interop import stable_audio, tables, trees
from vta.models import levels, mdct, snake
from vta.models.autoencoder import (
  Autoencoder,
  AutoencoderConfig,
  Posterior,
  pad_to_hop,
  start_levels,
)
from vta.models.convolution import Upsample
from vta.signals import loudness


def _normal(rng, shape) -> jax.Array:
  return jnp.asarray(rng.normal(size=shape), jnp.float32)


def _random_oobleck(strides, multiples) -> torch.nn.Module:
  torch.manual_seed(0)
  model = diffusers.AutoencoderOobleck(
    encoder_hidden_size=16,
    downsampling_ratios=list(strides),
    channel_multiples=list(multiples),
    decoder_channels=16,
    decoder_input_channels=8,
  )
  with torch.no_grad():
    for name, parameter in model.named_parameters():
      if name.endswith(("alpha", "beta")):
        parameter.normal_(std=0.5)
      elif name.endswith("bias"):
        parameter.normal_(std=0.1)
      elif name.endswith("weight_g"):
        parameter.mul_(torch.empty_like(parameter).uniform_(0.7, 1.4))
  return model.eval()


def _relative(ours, theirs) -> float:
  theirs = theirs.detach().numpy()
  return np.max(np.abs(np.asarray(ours) - theirs)) / np.max(np.abs(theirs))


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_oobleck_parity():
  strides, multiples = (2, 4, 8), (1, 2, 3)
  theirs = _random_oobleck(strides, multiples)
  config = AutoencoderConfig(
    latents=8, width=16, multiples=multiples, strides=strides
  )
  ours = Autoencoder(config)
  rng = np.random.default_rng(1)
  wave = _normal(rng, (2, 4 * config.hop, 2))

  state = {k: v.detach().numpy() for k, v in theirs.state_dict().items()}
  rows = list(stable_audio.codec(len(strides), "diffusers"))
  flat = dict(tables.to_ours(rows, state.get))
  params = {"params": trees.unflatten(flat)}
  key = jax.random.key(0)
  fresh = jax.eval_shape(lambda: ours.init(key, wave, key))
  assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, fresh)

  reference = theirs.encode(
    torch.tensor(np.asarray(wave)).transpose(1, 2)
  ).latent_dist
  encode = jax.jit(lambda p, x: ours.apply(p, x, method="encode"))
  decode = jax.jit(lambda p, x: ours.apply(p, x, method="decode"))
  posterior = encode(params, wave)
  mean = reference.mean.transpose(1, 2)
  assert _relative(posterior.mean, mean) < 1e-4
  assert _relative(posterior.std, reference.std.transpose(1, 2)) < 1e-4
  assert _relative(posterior.kl(), reference.kl()) < 1e-4

  decoded = theirs.decode(reference.mean).sample.transpose(1, 2)
  reconstruction = decode(params, jnp.asarray(mean.detach().numpy()))
  assert reconstruction.shape == wave.shape
  assert _relative(reconstruction, decoded) < 1e-4


def test_full_size_is_the_published_count():
  codec = Autoencoder(AutoencoderConfig())
  key = jax.random.key(0)
  wave = jax.ShapeDtypeStruct((1, 2048, 2), jnp.float32)
  shapes = jax.eval_shape(codec.init, key, wave, key)
  assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == 156_112_514


def test_odd_stride_is_a_transposed_convolution():
  rng = np.random.default_rng(2)
  x = _normal(rng, (2, 7, 5))
  layer = Upsample(features=4, stride=3)
  params = layer.init(jax.random.key(0), x)
  theirs = torch.nn.ConvTranspose1d(
    5, 4, 6, stride=3, padding=2, output_padding=1
  )
  kernel = np.asarray(params["params"]["v"]).transpose(1, 2, 0)
  theirs.weight.data = torch.tensor(kernel)
  theirs.bias.data.zero_()
  want = theirs(torch.tensor(np.asarray(x)).transpose(1, 2)).transpose(1, 2)
  assert _relative(layer.apply(params, x), want) < 1e-5


def test_sine_squared_and_its_slope():
  x = np.linspace(-30, 30, 20_001)
  single = jnp.asarray(x, jnp.float32)
  exact = np.asarray(single, np.float64)
  np.testing.assert_allclose(
    snake.sine_squared(single), np.sin(exact) ** 2, atol=5e-6
  )
  slope = jax.jit(jax.vmap(jax.grad(snake.sine_squared)))(single)
  np.testing.assert_allclose(slope, np.sin(2 * exact), atol=1e-5)


@pytest.mark.parametrize("bands", [8, 128])
def test_mdct_is_orthonormal_and_exact(bands):
  rng = np.random.default_rng(3)
  wave = _normal(rng, (2, 6 * bands, 2))
  spectra = mdct.mdct(wave, bands=bands)
  assert spectra.shape == (2, 6, 2 * bands)
  back = mdct.inverse_mdct(spectra, bands=bands)
  np.testing.assert_allclose(back, wave, atol=5e-6)
  np.testing.assert_allclose(
    np.sum(np.square(spectra)), np.sum(np.square(wave)), rtol=1e-5
  )


def test_mdct_is_the_textbook_one_between_the_ends():
  """Against the definition, of which ours is the mirror image, negated.

  The definition is odd about a block's start and even about its end, a DCT-IV
  the other way round.
  """
  n = 16
  rng = np.random.default_rng(4)
  wave = _normal(rng, (1, 5 * n, 1))
  ours = np.asarray(mdct.mdct(wave, bands=n))[0]
  window = np.sin(np.pi * (np.arange(2 * n) + 0.5) / (2 * n))
  time = np.arange(2 * n)[:, None] + 0.5 + n / 2
  kernel = np.cos(np.pi / n * time * (np.arange(n)[None] + 0.5))
  for i in (1, 2, 3):
    start = i * n - n // 2
    segment = wave[0, start : start + 2 * n, 0] * window
    want = -np.sqrt(2 / n) * segment[::-1] @ kernel
    np.testing.assert_allclose(ours[i], want, atol=1e-5)
  alone = mdct.mdct(wave[:, :n], bands=n)[0, 0]
  want = scipy.fft.dct(wave[0, :n, 0], type=4, norm="ortho")
  np.testing.assert_allclose(alone, want, atol=1e-5)


GROUPS = ((4, 2), (2, 4), (1, 16))  # 32 bands in 7 groups


def _stereo(rng, frames=6):
  """Spectra of a loud left and a quiet right, some groups silent."""
  spectra = 0.1 * rng.normal(size=(2, frames, 2, 32))
  spectra[:, :, 1] *= 1e-3
  spectra[:, 2, :, :8] = 0.0
  return jnp.asarray(spectra.reshape(2, frames, 64), jnp.float32)


def test_levels_and_shape_join_to_the_spectra():
  spectra = _stereo(np.random.default_rng(6))
  level, shape = levels.split(spectra, GROUPS)
  assert level.shape == (2, 6, 14)
  joined = levels.join(level, shape, GROUPS)
  # What `join` adds to a shape's power costs as much of a loud group.
  np.testing.assert_allclose(joined, spectra, rtol=2e-4, atol=1e-5)


def test_levels_are_the_groups_rms():
  spectra = _stereo(np.random.default_rng(7))
  level, _ = levels.split(spectra, GROUPS)
  last = np.asarray(spectra).reshape(2, 6, 2, 32)[..., 16:]
  left, right = np.log(np.sqrt(np.square(last).mean(-1) + 1e-10)).transpose(
    2, 0, 1
  )
  np.testing.assert_allclose(
    level[..., 6], ((left + right) / 2 + 6.0) / 3.0, rtol=1e-4
  )
  np.testing.assert_allclose(level[..., 13], left - right, rtol=1e-4)


def test_levels_alone_are_in_charge_of_level():
  spectra = _stereo(np.random.default_rng(8))
  level, shape = levels.split(spectra, GROUPS)
  joined = levels.join(level, 7.0 * shape, GROUPS)
  np.testing.assert_allclose(joined, spectra, rtol=2e-4, atol=1e-5)
  louder = levels.join(level.at[..., :7].add(1.0), shape, GROUPS)
  np.testing.assert_allclose(louder, np.exp(3.0) * joined, rtol=1e-3, atol=1e-6)


def test_level_distance_is_in_nepers_and_hears_sides():
  rng = np.random.default_rng(9)
  wave = 0.1 * _normal(rng, (2, 32 * 40, 2))
  double = levels.distance(2.0 * wave, wave, GROUPS)
  np.testing.assert_allclose(double, np.log(2.0), rtol=1e-3)
  one = levels.distance(wave * jnp.array([2.0, 1.0]), wave, GROUPS)
  np.testing.assert_allclose(one, np.log(2.0) / 2, rtol=1e-3)


def test_level_distance_hears_a_click_that_lost_its_peak():
  """Equal mean logarithms: only the pooled cells tell the two apart."""
  rng = np.random.default_rng(12)
  noise = rng.normal(size=(1, 16, 32, 2))
  click, flat = np.full((1, 16, 1, 1), 1e-3), np.full((1, 16, 1, 1), 1e-3)
  click[:, ::8] *= 10.0**2
  flat *= 10.0 ** (2 / 8)
  click, flat = (
    mdct.inverse_mdct(
      jnp.asarray((g * noise).transpose(0, 1, 3, 2).reshape(1, 16, 64)),
      bands=32,
    )
    for g in (click, flat)
  )
  lost = 0.5 * np.log(np.mean([1e4, *[1.0] * 7]) / 10 ** (4 / 8))
  fine = (1 / 8 * (2 - 2 / 8) + 7 / 8 * 2 / 8) * np.log(10)
  np.testing.assert_allclose(
    levels.distance(flat, click, GROUPS), (fine + 2 * lost) / 3, rtol=0.05
  )


FULL = AutoencoderConfig(
  latents=4,
  width=8,
  multiples=(2,),
  strides=(4,),
  dilations=(1,),
  groups=((24, 4), (16, 8), (18, 16)),
)


def test_two_latents_are_the_loudness():
  """The first is the mean of left and right, the second half what they differ.

  Against pyloudnorm's filters, one latent at a time.
  """
  rng = np.random.default_rng(13)
  level = np.exp(rng.uniform(-6.0, 0.0, (1, 40, 1, 2)))
  # Of one level over several latents, so that the overlap moves little.
  level = np.repeat(level[:, ::8], 8, axis=1)
  noise = 0.1 * rng.normal(size=(1, 40, FULL.hop, 2))
  wave = (level * noise).reshape(1, -1, 2).astype(np.float32)
  spectra = mdct.mdct(jnp.asarray(wave), bands=FULL.bands)
  found = np.asarray(levels.loudness(spectra, blocks=FULL.blocks))[0]
  middle, side = 1.15 * found[:, 0] - 6.0, 0.4 * found[:, 1]

  want = wave[0].astype(np.float64)
  for stage in pyloudnorm.Meter(44_100)._filters.values():
    want = np.stack([stage.apply_filter(c) for c in want.T], axis=1)
  power = np.square(want).reshape(40, FULL.hop, 2).mean(axis=1)
  want = 0.5 * np.log(power)
  inner = np.arange(40) % 8 % 7 > 0  # off the steps of the level
  np.testing.assert_allclose(middle[inner], want.mean(1)[inner], atol=0.05)
  difference = (want[:, 0] - want[:, 1]) / 2
  np.testing.assert_allclose(side[inner], difference[inner], atol=0.05)


def test_a_wave_is_as_loud_as_its_two_latents_say():
  """An untrained codec obeys, up to what neighbours leak into each other."""
  codec = Autoencoder(FULL)
  latents = _normal(np.random.default_rng(14), (1, 48, FULL.latents))
  drawn = np.array([-40.0, -30.0, -20.0, -90.0])  # LUFS, the last is silence
  log = (drawn + 0.691) / 20 * np.log(10)
  middle = np.repeat((log + 6.0) / 1.15, 12)
  latents = latents.at[..., 0].set(middle).at[..., 1].set(0.0)
  decode = functools.partial(codec.init_with_output, method="decode")
  wave, _ = jax.jit(decode)(jax.random.key(0), latents)
  obtained = loudness.momentary(np.asarray(wave[0]), block=0.1)
  for i, want in enumerate(drawn):
    centre = (i + 0.5) * 12 * FULL.hop / 44_100
    near = np.abs(obtained.times - centre) < 0.15
    np.testing.assert_allclose(
      obtained.lufs[near], max(want, loudness.FLOOR), atol=1.5
    )


def test_principal_components_are_those_of_the_svd():
  rng = np.random.default_rng(10)
  rows = rng.normal(size=(500, 6)) @ rng.normal(size=(6, 6)) + 3.0
  mean, directions, deviation = levels.principal(rows, 3)
  centred = rows - rows.mean(axis=0)
  _, singular, right = scipy.linalg.svd(centred, full_matrices=False)
  np.testing.assert_allclose(mean, rows.mean(axis=0))
  np.testing.assert_allclose(deviation, singular[:3] / np.sqrt(499), rtol=1e-6)
  np.testing.assert_allclose(
    np.abs(np.sum(directions.T * right[:3], axis=1)), 1.0, rtol=1e-6
  )


def test_posterior_samples_have_its_moments():
  posterior = Posterior(
    mean=jnp.full((1, 40_000, 2), 3.0), scale=jnp.full((1, 40_000, 2), 0.5)
  )
  sample = posterior.sample(jax.random.key(0))
  std = np.log1p(np.exp(0.5)) + 1e-4
  np.testing.assert_allclose(np.mean(sample), 3.0, atol=0.02)
  np.testing.assert_allclose(np.std(sample), std, rtol=0.02)


BANDED = AutoencoderConfig(
  latents=4,
  width=8,
  multiples=(2,),
  strides=(4,),
  dilations=(1,),
  groups=GROUPS,
  residual_scale=0.1,
)


def test_banded_codec_runs_and_learns_from_silence():
  codec = Autoencoder(dataclasses.replace(BANDED, dtype="bfloat16"))
  rng = np.random.default_rng(5)
  wave = _normal(rng, (2, 300, 2)).at[1].set(0)
  wave = pad_to_hop(wave, BANDED.hop)
  assert wave.shape == (2, 384, 2)
  key = jax.random.key(0)
  params = jax.jit(codec.init)(key, wave, key)

  def loss(params):
    reconstruction, posterior = codec.apply(params, wave, key)
    assert reconstruction.dtype == posterior.mean.dtype == jnp.float32
    assert posterior.mean.shape == (2, 3, 4)
    return jnp.mean(jnp.square(reconstruction - wave)) + posterior.kl()

  gradient = jax.jit(jax.grad(loss))(params)
  for leaf in jax.tree.leaves(gradient):
    assert leaf.dtype == jnp.float32
    assert np.all(np.isfinite(leaf))
    assert np.any(leaf != 0)


def test_a_codec_that_starts_at_the_levels_has_the_envelope():
  """Before any training: bursts of noise come back as loud, on their side."""
  rng = np.random.default_rng(11)
  gain = np.exp(rng.uniform(-7.0, 0.0, (64, 3, 1, 1)))
  side = np.exp(rng.uniform(-1.0, 1.0, (64, 1, 1, 2)))
  bursts = gain * side * rng.normal(size=(64, 3, 128, 2))
  wave = jnp.asarray(bursts.reshape(64, 384, 2), jnp.float32)
  codec = Autoencoder(BANDED)
  key = jax.random.key(0)
  params = jax.jit(codec.init)(key, wave[:1], key)["params"]
  started = start_levels(params, wave, BANDED)
  assert jax.tree.structure(started) == jax.tree.structure(params)

  def error(params):
    posterior = codec.apply({"params": params}, wave, method="encode")
    made = codec.apply({"params": params}, posterior.mean, method="decode")
    assert float(jnp.mean(posterior.std)) < 0.06 or params is not started
    return float(levels.distance(made, wave, GROUPS))

  assert error(started) < 0.55 < 1.5 < error(params)


def test_residual_scale_shrinks_the_initial_output():
  config = {"latents": 4, "width": 8, "multiples": (2,), "strides": (4,)}
  config["dilations"] = (1,)
  latents = jnp.ones((1, 6, 4))
  levels = []
  for scale in (1.0, 0.1):
    codec = Autoencoder(AutoencoderConfig(**config, residual_scale=scale))
    decode = functools.partial(codec.init_with_output, method="decode")
    wave, _ = jax.jit(decode)(jax.random.key(0), latents)
    levels.append(np.std(wave))
  assert levels[1] < 0.2 * levels[0]


def test_bad_shapes_are_refused():
  with pytest.raises(ValueError, match="one multiple per stride"):
    AutoencoderConfig(multiples=(1, 2, 3), strides=(4, 4))
  with pytest.raises(ValueError, match="2 latents are loudness, there are 2"):
    AutoencoderConfig(groups=GROUPS, latents=2)
  with pytest.raises(ValueError, match="even, got 7"):
    AutoencoderConfig(groups=((3, 1), (1, 4)))
  with pytest.raises(ValueError, match="2 channels, not 1"):
    AutoencoderConfig(groups=((2, 2),), channels=1)
  codec = Autoencoder(AutoencoderConfig(width=8, multiples=(1,), strides=(4,)))
  with pytest.raises(ValueError, match="no multiple of the hop, 4"):
    codec.init(jax.random.key(0), jnp.zeros((1, 10, 2)), jax.random.key(0))
