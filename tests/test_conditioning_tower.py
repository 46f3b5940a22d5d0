"""A frozen tower's features beside the pixels, which are an option."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vta.conditioning import foley, frames, inputs

RATE = 44_100 / 2048


def geometry(tower):
  return inputs.geometry(
    10,
    latent_rate=RATE,
    frame_rate=15.0,
    frame_size=16,
    text_width=5,
    text_tokens=4,
    reference_width=6,
    tower=tower,
  )


def example(tower, **given):
  rng = np.random.default_rng(0)
  if tower:
    given["frame_features"] = rng.normal(size=(4, tower)).astype(np.float32)
  return inputs.assemble(
    geometry(tower),
    start=0.0,
    total=0.4,
    frames=rng.integers(0, 255, (4, 16, 16, 3), np.uint8),
    frame_times=np.arange(4) / 15.0,
    **given,
  )


def conditioner(tower):
  encoder = frames.FrameEncoderConfig(
    widths=(4, 4), features=8, taps=3, tower=tower
  )
  return foley.Foley(
    foley.FoleyConfig(width=8, vector_width=6, frames=encoder, latents=3)
  )


def encoder_names(tower, one):
  """The names of the frame encoder's parameters."""
  batch = batch_of(one)
  made = jax.eval_shape(
    conditioner(tower).init, jax.random.key(0), batch, batch["asked"]
  )
  return set(made["params"]["frame_encoder"])


def batch_of(one):
  return {name: jnp.asarray(value)[None] for name, value in one.items()}


def test_without_a_tower_nothing_is_new():
  made = example(0)
  assert "frame_features" not in made
  assert "tower" not in encoder_names(0, made)
  assert encoder_names(7, example(7)) == encoder_names(0, made) | {"tower"}


def test_features_are_padded_as_the_frames_are():
  made = example(7)
  assert made["frame_features"].shape == (len(made["frames"]), 7)
  for name in ("frames", "frame_features"):
    assert np.ptp(made[name][:4], axis=0).any()
    np.testing.assert_array_equal(
      made[name][4:], np.broadcast_to(made[name][3], made[name][4:].shape)
    )
  blank = inputs.assemble(geometry(7), start=0.0, total=0.4)
  assert not blank["frame_features"].any()


def test_features_come_with_frames_and_a_tower():
  features = np.zeros((4, 7), np.float32)
  with pytest.raises(ValueError, match="frame_features"):
    example(0, frame_features=features)
  with pytest.raises(ValueError, match="frame_features"):
    inputs.assemble(geometry(7), start=0.0, total=0.4, frame_features=features)
  with pytest.raises(ValueError, match="frame_features"):
    inputs.assemble(
      geometry(7),
      start=0.0,
      total=0.4,
      frames=np.zeros((4, 16, 16, 3), np.uint8),
      frame_times=np.arange(4) / 15.0,
    )


def test_features_reach_the_frames_and_go_when_they_are_dropped():
  batch = batch_of(example(7))
  model = conditioner(7)
  variables = model.init(jax.random.key(0), batch, batch["asked"])
  # At any scale and offset: a tower's numbers are not the conditioner's.
  scaled = {**batch, "frame_features": 9.0 * batch["frame_features"] + 3.0}
  other = {**batch, "frame_features": batch["frame_features"][..., ::-1]}

  def seen(batch, keep):
    return model.apply(variables, batch, keep).input["frames"]

  keep = batch["asked"]
  np.testing.assert_allclose(seen(scaled, keep), seen(batch, keep), atol=1e-4)
  assert float(jnp.abs(seen(other, keep) - seen(batch, keep)).max()) > 0.1
  drop = jnp.zeros_like(keep)
  np.testing.assert_array_equal(seen(other, drop), seen(batch, drop))
