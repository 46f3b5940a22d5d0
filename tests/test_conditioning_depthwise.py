"""Shifts against XLA's grouped convolution, and its derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from vta.conditioning import depthwise


@pytest.mark.parametrize("taps", [1, 3, 15])
def test_values_and_slopes_are_the_grouped_convolution_s(taps):
  rng = np.random.default_rng(taps)
  x, weight = (
    jnp.asarray(rng.standard_normal((2, 9, 6)), jnp.float32) for _ in range(2)
  )
  ours = depthwise.Depthwise(taps)
  theirs = nn.Conv(6, (taps,), feature_group_count=6)
  params = jax.tree.map(
    lambda leaf: leaf + jnp.asarray(rng.standard_normal(leaf.shape)),
    ours.init(jax.random.key(0), x),
  )
  assert jax.tree.map(jnp.shape, params) == jax.tree.map(
    jnp.shape, theirs.init(jax.random.key(0), x)
  )

  def total(module):
    def weighted(params, x):
      return jnp.sum(weight * module.apply(params, x))

    return jax.value_and_grad(weighted, argnums=(0, 1))(params, x)

  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5),
    total(ours),
    total(theirs),
  )
