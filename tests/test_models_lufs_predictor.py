"""Tri-Ergon's LUFS predictor: against torch, and what padding may not do."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from vta.models import lufs_predictor

# Of the largest value, everything in float32.
TOLERANCE = 1e-4
TINY = lufs_predictor.LufsPredictorConfig(depth=3, heads=4, width=24)


def make_inputs():
  """Features of three clips, of 11, 4 and 1 frames."""
  rng = np.random.default_rng(0)
  features = rng.normal(size=(3, 11, TINY.width)).astype(np.float32)
  mask = np.arange(11)[None] < np.array([[11], [4], [1]])
  return features, mask


@pytest.fixture(scope="module")
def params():
  """Random ones, none of which is the identity."""
  model = lufs_predictor.LufsPredictor(TINY)
  made = jax.jit(model.init)(jax.random.key(0), *make_inputs())["params"]
  rng = np.random.default_rng(1)
  return jax.tree.map(
    lambda x: x + 0.2 * rng.normal(size=x.shape).astype(np.float32), made
  )


@pytest.fixture(scope="module")
def apply():
  return jax.jit(lufs_predictor.LufsPredictor(TINY).apply)


def torch_predictor(params):
  """The same network out of torch's own layers."""
  width = TINY.width
  layer = torch.nn.TransformerEncoderLayer(
    width,
    TINY.heads,
    TINY.ff_multiple * width,
    activation="gelu",
    batch_first=True,
    norm_first=True,
  )
  encoder = torch.nn.TransformerEncoder(
    layer,
    TINY.depth,
    norm=torch.nn.LayerNorm(width),
    enable_nested_tensor=False,
  )
  model = torch.nn.Sequential(encoder, torch.nn.Linear(width, 2)).eval()
  ours, state = params["layers"], {}

  def put(name, parameters, i=...):
    for key, value in parameters.items():
      kind = "bias" if key == "bias" else "weight"
      state[f"{name}.{kind}"] = torch.tensor(np.asarray(value[i]).T)

  for i in range(TINY.depth):
    root = f"0.layers.{i}"
    for kind, key in (("weight", "kernel"), ("bias", "bias")):
      parts = [ours[n][key][i].T for n in ("query", "key", "value")]
      state[f"{root}.self_attn.in_proj_{kind}"] = torch.tensor(
        np.concatenate(parts)
      )
    put(f"{root}.self_attn.out_proj", ours["attention_out"], i)
    put(f"{root}.linear1", ours["mlp_in"], i)
    put(f"{root}.linear2", ours["mlp_out"], i)
    put(f"{root}.norm1", ours["attention_norm"], i)
    put(f"{root}.norm2", ours["mlp_norm"], i)
  put("0.norm", params["norm"])
  put("1", params["head"])
  model.load_state_dict(state)
  return model


def test_layers_equal_torch(params, apply):
  features, mask = make_inputs()
  ours = np.asarray(apply({"params": params}, features, mask))
  encoder, head = torch_predictor(params)
  padded = torch.tensor(~mask)
  x = torch.tensor(features + lufs_predictor.positions(11, TINY.width))
  with torch.no_grad():
    theirs = head(encoder(x, src_key_padding_mask=padded))
  logits = np.log(ours) - np.log1p(-ours)
  error = np.abs(logits - theirs.numpy())[mask].max()
  error /= np.abs(theirs.numpy())[mask].max()
  print(f"relative error {error:.1e}")
  assert error <= TOLERANCE
  # Far from the ends of the sigmoid, where logits would have lost digits.
  assert 0.02 < ours.min() < 0.4 < 0.6 < ours.max() < 0.98


def test_padding_does_not_reach_valid_frames(params, apply):
  features, mask = make_inputs()
  ours = np.asarray(apply({"params": params}, features, mask))
  for junk in (1e4, np.nan):
    filled = np.where(mask[..., None], features, np.float32(junk))
    again = np.asarray(apply({"params": params}, filled, mask))
    np.testing.assert_array_equal(again[mask], ours[mask])
  alone = np.asarray(
    apply({"params": params}, features[1:2, :4], np.ones((1, 4), bool))
  )
  np.testing.assert_allclose(alone[0], ours[1, :4], rtol=0, atol=1e-6)


def test_a_frame_is_heard_in_the_others(params, apply):
  """What padding must not do, a valid frame does; and its place matters."""
  features, mask = make_inputs()
  ours = np.asarray(apply({"params": params}, features, mask))
  other = features.copy()
  other[1, 3, ::2] += 1.0  # in all channels alike the norm would not see it
  changed = np.asarray(apply({"params": params}, other, mask))
  assert np.abs(changed - ours)[1, :3].max() > 1e-3
  swapped = features.copy()
  swapped[0, [2, 7]] = features[0, [7, 2]]
  moved = np.asarray(apply({"params": params}, swapped, mask))
  assert np.abs(moved[0, [7, 2]] - ours[0, [2, 7]]).max() > 1e-3


def test_positions_are_all_different():
  table = lufs_predictor.positions(lufs_predictor.MAX_FRAMES, 768)
  assert table.shape == (360, 768)
  np.testing.assert_allclose(table[5, 0], np.sin(5.0), rtol=1e-6)
  np.testing.assert_allclose(table[5, 384 + 383], 1.0, atol=1e-6)
  apart = 2 * (384.0 - table @ table.T)
  assert (apart + 1e3 * np.eye(360)).min() > 1.0


@pytest.mark.parametrize(
  ("config", "layer_count", "total"),
  [
    (lufs_predictor.SMALL, 12, 85_057_538),
    (lufs_predictor.LARGE, 14, 99_233_282),
  ],
)
def test_parameter_counts(config, layer_count, total):
  shapes = jax.eval_shape(
    lufs_predictor.LufsPredictor(config).init,
    jax.random.key(0),
    np.zeros((1, 360, 768), np.float32),
    np.ones((1, 360), bool),
  )
  leaves = jax.tree.leaves(shapes)
  print(f"{sum(x.size for x in leaves):,}")
  assert sum(x.size for x in leaves) == total
  # 4 d^2 of attention, 8 d^2 of feed-forward, 13 d of biases and norms; then
  # the last norm and the head.
  d = 768
  assert total == layer_count * (12 * d * d + 13 * d) + 2 * d + 2 * d + 2


def test_loss_is_torchs_on_valid_frames():
  rng = np.random.default_rng(2)
  predicted, target = rng.random((2, 3, 11, 2), np.float32)
  _, mask = make_inputs()
  ours = lufs_predictor.loss(*map(jnp.asarray, (predicted, target, mask)))
  theirs = torch.nn.functional.mse_loss(
    torch.tensor(predicted[mask]), torch.tensor(target[mask])
  )
  np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-6)


def test_loss_ignores_invalid_frames():
  rng = np.random.default_rng(3)
  predicted, target = rng.random((2, 3, 11, 2), np.float32)
  _, mask = make_inputs()
  value = jax.jit(jax.value_and_grad(lufs_predictor.loss))
  expected, gradient = value(predicted, target, mask)
  assert not gradient[~mask].any()
  assert np.all(gradient[mask] != 0)
  target[~mask] = np.nan
  again, same = value(predicted, target, mask)
  assert again == expected
  np.testing.assert_array_equal(same, gradient)
  assert value(predicted, target, np.zeros_like(mask))[0] == 0


def test_it_learns_a_curve(params):
  """The gradient reaches all parameters, in bfloat16 too."""
  features, mask = map(jnp.asarray, make_inputs())
  config = dataclasses.replace(TINY, dtype="bfloat16")
  model = lufs_predictor.LufsPredictor(config)

  def objective(p):
    predicted = model.apply({"params": p}, features, mask)
    assert predicted.dtype == jnp.float32
    return lufs_predictor.loss(predicted, jnp.full((3, 11, 2), 0.3), mask)

  step = jax.jit(jax.value_and_grad(objective))
  first, gradient = step(params)
  for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
    # A bias of the keys moves all logits of a query alike.
    if path[-2:] != (_key("key"), _key("bias")):
      assert np.abs(leaf).max() > 1e-6, path
  moved = jax.tree.map(lambda p, g: p - 0.5 * g, params, gradient)
  assert step(moved)[0] < 0.9 * first


def _key(name):
  return jax.tree_util.DictKey(name)


def test_what_does_not_fit_is_refused():
  with pytest.raises(ValueError, match="multiple of 5 heads"):
    lufs_predictor.LufsPredictorConfig(depth=1, heads=5)
  model = lufs_predictor.LufsPredictor(TINY)
  for shape in ((1, 361, 24), (1, 4, 25)):
    with pytest.raises(ValueError, match="at most 360 of 24"):
      model.init(jax.random.key(0), jnp.zeros(shape), jnp.ones(shape[:2], bool))
