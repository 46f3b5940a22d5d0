"""The foley conditioners: nulls, masks, and independence of the batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vta.conditioning import conditions as conditions_lib
from vta.conditioning import foley, frames, inputs

CONFIG = foley.FoleyConfig(
  width=8,
  vector_width=6,
  frames=frames.FrameEncoderConfig(widths=(4, 4, 4), features=8, taps=3),
  latents=3,
)
GEOMETRY = inputs.Geometry(
  latents=10,
  latent_rate=44_100 / 2048,
  frames=9,
  frame_size=16,
  text_width=5,
  text_tokens=4,
  reference_width=6,
)


@pytest.fixture(scope="module")
def batch():
  rng = np.random.default_rng(0)
  one = inputs.assemble(GEOMETRY, start=0.0, total=0.4)
  rows = {k: np.repeat(v[None], 2, axis=0) for k, v in one.items()}
  for name in ("text_tokens", "reference", "loudness", "events", "objects"):
    rows[name] = rng.normal(size=rows[name].shape).astype(np.float32)
  rows["frames"] = rng.integers(0, 255, rows["frames"].shape, np.uint8)
  rows["mask"] = np.full(rows["mask"].shape, 255, np.uint8)
  rows["text_mask"][:] = True
  rows["asked"][:] = True
  return jax.tree.map(jnp.asarray, rows)


@pytest.fixture(scope="module")
def module(batch):
  model = foley.Foley(CONFIG)
  variables = model.init(jax.random.key(0), batch, batch["asked"])
  # Away from the initial values, at which some differences would not show.
  return model, jax.tree.map(
    lambda x: x + 0.3 * jax.random.normal(jax.random.key(x.size), x.shape),
    variables,
  )


def entry(made: conditions_lib.Conditions, name: str):
  """All that an entry has to say, one row a clip."""
  width = CONFIG.vector_width
  _, summary, reference = (
    made.vector[:, i * width : (i + 1) * width] for i in range(3)
  )
  if name == "text":
    stream = made.streams[name]
    tokens = jnp.where(stream.mask[..., None], stream.tokens, 0.0)
    return jnp.concatenate([tokens.reshape(len(tokens), -1), summary], axis=1)
  if name == "reference":
    return reference
  values = {**made.input, **made.block}[name]
  return values.reshape(len(values), -1)


@pytest.mark.parametrize("name", inputs.NAMES)
def test_a_dropped_entry_forgets_its_value_and_no_other(module, batch, name):
  model, variables = module
  index = inputs.NAMES.index(name)
  keep = jnp.ones((2, len(inputs.NAMES)), bool).at[0, index].set(False)
  made = model.apply(variables, batch, keep)
  kept = model.apply(variables, batch, jnp.ones_like(keep))
  for other in inputs.NAMES:
    same = np.allclose(entry(made, other), entry(kept, other))
    assert same == (other != name)
  # The clip that keeps it is untouched; the null is the same for any value.
  np.testing.assert_array_equal(entry(made, name)[1], entry(kept, name)[1])
  changed = {
    **batch,
    "text_tokens": batch["text_tokens"] + 1.0,
    "reference": batch["reference"] + 1.0,
    "loudness": batch["loudness"] + 1.0,
    "events": batch["events"] + 1.0,
    "objects": batch["objects"] + 1.0,
    "frames": 255 - batch["frames"],
  }
  other = model.apply(variables, changed, keep)
  np.testing.assert_allclose(
    entry(made, name)[0], entry(other, name)[0], atol=1e-6
  )


@pytest.mark.parametrize("name", inputs.NAMES)
def test_every_entry_lets_something_be_expected(module, batch, name):
  model, variables = module
  keep = jnp.zeros((2, len(inputs.NAMES)), bool)
  kept = keep.at[0, inputs.NAMES.index(name)].set(True)
  nothing = model.apply(variables, batch, keep).input["expected"]
  made = model.apply(variables, batch, kept).input["expected"]
  assert made.shape == (2, 10, 3)
  assert float(jnp.abs(made - nothing)[0].max()) > 1e-3
  np.testing.assert_array_equal(made[1], nothing[1])


def test_silence_is_not_the_null_of_loudness(module, batch):
  model, variables = module
  silent = {**batch, "loudness": jnp.zeros_like(batch["loudness"])}
  keep = jnp.ones((2, len(inputs.NAMES)), bool)
  asked = model.apply(variables, silent, keep)
  keep = keep.at[:, inputs.NAMES.index("loudness")].set(False)
  not_asked = model.apply(variables, silent, keep)
  distance = jnp.abs(asked.input["loudness"] - not_asked.input["loudness"])
  assert float(distance.min(axis=(0, 1)).max()) > 0.05


def test_what_the_mask_hides_cannot_be_seen(module, batch):
  model, variables = module
  mask = batch["mask"].at[:, :, :, :8].set(0)
  hidden = batch["frames"].at[:, :, :, :8].set(77)
  keep = jnp.ones((2, len(inputs.NAMES)), bool)
  one = model.apply(variables, {**batch, "mask": mask}, keep)
  two = model.apply(variables, {**batch, "mask": mask, "frames": hidden}, keep)
  np.testing.assert_allclose(
    one.input["frames"], two.input["frames"], atol=1e-5
  )
  whole = model.apply(variables, batch, keep)
  assert float(jnp.abs(whole.input["frames"] - one.input["frames"]).max()) > 0.1


def test_pictures_take_the_place_of_the_frames_they_were_made_of(module, batch):
  model, variables = module
  keep = jnp.ones((2, len(inputs.NAMES)), bool)
  encoder = frames.FrameEncoder(CONFIG.frames)
  params = {"params": variables["params"]["frame_encoder"]}
  pictures = encoder.apply(params, batch["frames"], batch["mask"])
  seen = {k: v for k, v in batch.items() if k not in ("frames", "mask")}
  one = model.apply(variables, batch, keep)
  two = model.apply(variables, {**seen, "pictures": pictures}, keep)
  for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
    np.testing.assert_allclose(a, b, atol=1e-5)


def test_padding_does_not_change_the_summary(module, batch):
  model, variables = module
  mask = batch["text_mask"].at[:, 2:].set(False)
  keep = jnp.ones((2, len(inputs.NAMES)), bool)
  one = model.apply(variables, {**batch, "text_mask": mask}, keep)
  tokens = batch["text_tokens"].at[:, 2:].set(9.0)
  other = {**batch, "text_mask": mask, "text_tokens": tokens}
  two = model.apply(variables, other, keep)
  np.testing.assert_allclose(entry(one, "text"), entry(two, "text"), atol=1e-6)


def test_a_clip_does_not_see_its_neighbours(module, batch):
  model, variables = module
  keep = jnp.ones((2, len(inputs.NAMES)), bool)
  both = model.apply(variables, batch, keep)
  alone = model.apply(variables, {k: v[1:] for k, v in batch.items()}, keep[1:])
  for one, two in zip(
    jax.tree.leaves(both), jax.tree.leaves(alone), strict=True
  ):
    np.testing.assert_allclose(one[1:], two, atol=1e-5)
