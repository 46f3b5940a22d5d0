"""Label similarity's formula."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from vta.models import label_similarity


def model(frame_width, label_width, *, scale=3.0, bias=-0.5):
  config = label_similarity.LabelSimilarityConfig(
    frame_width=frame_width, label_width=label_width, scale=scale, bias=bias
  )
  return label_similarity.LabelSimilarity(config)


def start(net, *, key=0):
  """Its parameters."""
  widths = net.config.frame_width, net.config.label_width
  blank = (jnp.zeros((1, 1, width)) for width in widths)
  return dict(jax.jit(net.init)(jax.random.key(key), *blank)["params"])


def apply(net, params, frames, labels):
  given = {"params": params}, jnp.asarray(frames), jnp.asarray(labels)
  return jax.jit(net.apply)(*given)


@pytest.mark.parametrize("widths", [(6, 6), (6, 4), (4, 6)])
def test_logits_are_torch_s(widths):
  rng = np.random.default_rng(0)
  frames = rng.normal(size=(2, 5, widths[0])).astype(np.float32)
  labels = rng.normal(size=(2, 3, widths[1])).astype(np.float32)
  net = model(*widths)
  params = start(net, key=1)
  noise = rng.normal(size=widths).astype(np.float32)
  params = {
    "project": {"kernel": params["project"]["kernel"] + noise},
    "log_scale": params["log_scale"] + 0.7,
    "bias": params["bias"] - 1.3,
  }
  projected = torch.from_numpy(frames) @ torch.from_numpy(
    np.array(params["project"]["kernel"])
  )
  cosine = torch.cosine_similarity(
    projected[:, :, None], torch.from_numpy(labels)[:, None], dim=-1
  )
  logits = apply(net, params, frames, labels)
  expected = 3.0 * np.exp(0.7) * cosine.numpy() - 1.8
  np.testing.assert_allclose(logits, expected, atol=2e-5)
  target = rng.integers(0, 2, expected.shape).astype(np.float32)
  mask = rng.random(expected.shape) < 0.5
  entropy = torch.nn.functional.binary_cross_entropy_with_logits(
    torch.from_numpy(expected[mask]), torch.from_numpy(target[mask])
  )
  target, mask = jnp.asarray(target), jnp.asarray(mask)
  value = label_similarity.loss(logits, target, mask)
  assert float(value) == pytest.approx(float(entropy), rel=1e-5)
  assert float(label_similarity.loss(logits, target, mask & False)) == 0.0


def test_it_starts_as_the_cosine_itself_or_keeps_lengths():
  rng = np.random.default_rng(0)
  frames = rng.normal(size=(1, 4, 6)).astype(np.float32)
  same, wider = model(6, 6), model(6, 9)
  params = start(same)
  np.testing.assert_array_equal(params["project"]["kernel"], np.eye(6))
  logits = apply(same, params, frames, frames)
  np.testing.assert_allclose(np.diag(logits[0]), 2.5, atol=1e-5)
  kernel = start(wider)["project"]["kernel"]
  np.testing.assert_allclose(kernel @ kernel.T, np.eye(6), atol=1e-5)
  with pytest.raises(ValueError, match="frames of 6 and labels of 6; expected"):
    apply(wider, params, frames, frames)
  with pytest.raises(ValueError, match="scale 0"):
    model(6, 6, scale=0.0)


def test_padding_has_no_gradient_and_no_nan():
  net = model(6, 4)
  frames, labels = jnp.zeros((1, 2, 6)), jnp.ones((1, 1, 4))
  params = start(net)
  mask = jnp.array([[[True], [False]]])

  def value(params, frames):
    logits = net.apply({"params": params}, frames, labels)
    return label_similarity.loss(logits, jnp.zeros_like(logits), mask)

  slopes = jax.jit(jax.grad(value))(
    params, frames.at[0, 0].set(jnp.arange(6.0))
  )
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(slopes))
