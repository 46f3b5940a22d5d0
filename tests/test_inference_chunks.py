"""Chunks through the codec are the whole clip, and no context is spare."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vta.inference import chunks
from vta.models import autoencoder

# An odd stride, as many dilations as strides have, and another edge.
CONFIG = autoencoder.AutoencoderConfig(
  latents=4,
  width=4,
  multiples=(1, 2),
  strides=(2, 3),
  dilations=(1, 3),
  edge=5,
)
HOP = CONFIG.hop
LATENTS = 61
CODEC = autoencoder.Autoencoder(CONFIG)


def normal(seed, *shape):
  draw = np.random.default_rng(seed).standard_normal(shape)
  return jnp.asarray(draw, jnp.float32)


@functools.cache
def params():
  """At random values, biases too: zeros at an edge then are not padding."""
  key = jax.random.key(0)
  shapes = jax.eval_shape(CODEC.init, key, jnp.zeros((1, HOP, 2)), key)
  leaves, tree = jax.tree.flatten(shapes["params"])
  values = [0.5 * normal([1, i], *x.shape) for i, x in enumerate(leaves)]
  return jax.tree.unflatten(tree, values)


@functools.partial(jax.jit, static_argnames="method")
def whole(x, *, method):
  return CODEC.apply({"params": params()}, x, method=method)


def relative(ours, theirs):
  assert ours.shape == theirs.shape
  return np.abs(ours - theirs).max() / np.abs(theirs).max()


# The smallest chunk there can be, one that divides and one that does not, and
# one that leaves a last chunk of a single latent.
@pytest.mark.parametrize("spare", [1, 7, 20])
def test_decoding_equals_the_whole(spare):
  latents = normal(2, 2, LATENTS, CONFIG.latents)
  reach = chunks.decoding_reach(CONFIG)
  size = reach.before + reach.after + spare
  got = chunks.decode(CODEC, params(), latents, size=size)
  assert relative(got, whole(latents, method="decode")) < 1e-5


@pytest.mark.parametrize("spare", [1, 20])
def test_encoding_equals_the_whole(spare):
  wave = normal(3, 2, LATENTS * HOP, 2)
  reach = chunks.encoding_reach(CONFIG)
  size = reach.before + reach.after + spare
  got = chunks.encode(CODEC, params(), wave, size=size)
  want = whole(wave, method="encode")
  assert relative(got.mean, want.mean) < 1e-5
  assert relative(got.scale, want.scale) < 1e-5


@pytest.mark.parametrize("latents", [1, 30])
def test_a_clip_of_a_chunk_goes_whole(latents):
  x = normal(4, 1, latents, CONFIG.latents)
  got = chunks.decode(CODEC, params(), x, size=30)
  assert relative(got, whole(x, method="decode")) < 1e-6


def extent(derivative):
  """First and last place that is not zero."""
  places = np.flatnonzero(derivative)
  return places[0], places[-1]


def test_the_reach_is_that_of_the_network():
  """Not more and not less: where derivatives are not zero."""
  middle = LATENTS // 2
  latents = normal(5, 1, LATENTS, CONFIG.latents)

  def samples(x):
    wave = CODEC.apply({"params": params()}, x, method="decode")
    own = wave[:, middle * HOP : (middle + 1) * HOP]
    return jnp.sum(own * normal(6, *own.shape))

  def latent(x):
    mean = CODEC.apply({"params": params()}, x, method="encode").mean
    return jnp.sum(mean[:, middle] * normal(7, *mean[:, middle].shape))

  slope = np.asarray(jax.jit(jax.grad(samples))(latents))
  first, last = extent(np.abs(slope[0]).sum(-1))
  reach = chunks.decoding_reach(CONFIG)
  assert (reach.before, reach.after) == (middle - first, last - middle)

  slope = np.asarray(jax.jit(jax.grad(latent))(normal(8, 1, LATENTS * HOP, 2)))
  first, last = extent(np.abs(slope[0]).sum(-1))
  reach = chunks.encoding_reach(CONFIG)
  assert reach.before == middle - first // HOP
  assert reach.after == last // HOP - middle


def test_memory_does_not_grow_with_the_clip():
  """What the compiler says that it takes, beside the wave itself."""
  config = dataclasses.replace(CONFIG, width=32)
  codec = autoencoder.Autoencoder(config)
  key = jax.random.key(0)
  shapes = jax.eval_shape(codec.init, key, jnp.zeros((1, HOP, 2)), key)

  def needed(latents):
    x = jax.ShapeDtypeStruct((1, latents, config.latents), jnp.float32)
    compiled = chunks.decode.lower(codec, shapes["params"], x, size=40)
    return compiled.compile().memory_analysis().temp_size_in_bytes

  wave = 4 * 2 * HOP * 3  # the parts before they are cut, and the joined wave
  assert needed(2000) - needed(200) < wave * 1800
  # A layer's output alone would be more than that.
  assert wave < 4 * 32 * HOP


def test_a_codec_with_groups_goes_whole():
  """Its lapped transform and its noise are the clip's."""
  banded = autoencoder.AutoencoderConfig(
    latents=4, width=4, multiples=(1,), strides=(4,), groups=((4, 2),)
  )
  codec = autoencoder.Autoencoder(banded)
  wave = normal(9, 1, 90 * banded.hop, 2)
  key = jax.random.key(0)
  made = jax.jit(codec.init)(key, wave, key)["params"]

  @functools.partial(jax.jit, static_argnames="method")
  def whole(x, *, method):
    return codec.apply({"params": made}, x, method=method)

  mean = chunks.encode(codec, made, wave, size=20).mean
  assert relative(mean, whole(wave, method="encode").mean) < 1e-5
  got = chunks.decode(codec, made, mean, size=20)
  assert relative(got, whole(mean, method="decode")) < 1e-5


def test_a_wave_of_any_length_is_described():
  """Mean and deviation, of as many latents as the wave reaches into."""
  wave = np.asarray(normal(10, 40 * HOP + 1, 2))
  mean, std = chunks.describe(CODEC, params(), wave)
  assert mean.shape == std.shape == (41, CONFIG.latents)
  padded = autoencoder.pad_to_hop(jnp.asarray(wave)[None], 64 * HOP)
  want = whole(padded, method="encode")
  assert relative(mean, want.mean[0, :41]) < 1e-5
  assert relative(std, want.std[0, :41]) < 1e-5


def test_what_cannot_be_chunked_is_refused():
  latents = jnp.zeros((1, LATENTS, CONFIG.latents))
  with pytest.raises(ValueError, match="a chunk of 8 latents is all context"):
    chunks.decode(CODEC, params(), latents, size=8)
  with pytest.raises(ValueError, match="no multiple of the hop, 6"):
    chunks.encode(CODEC, params(), jnp.zeros((1, 61, 2)), size=20)
