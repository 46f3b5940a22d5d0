"""Batch norm whose population is measured, not averaged along the way.

Ioffe and Szegedy 2015 (arXiv 1502.03167), in torch's numerics. Training
normalises by the batch's own mean and variance. What torch then keeps as a
running average is a parameter here, and no gradient reaches it: the train loop
carries parameters alone. `calibrated` sets it before parameters are evaluated
or released, from a number of training batches. That is PreciseBN of Wu and
Johnson 2021 (arXiv 2105.07576), and our choice: it is of these parameters, the
averaged ones too, where a running average is of those before them.
"""

from __future__ import annotations

from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import traverse_util
from jaxtyping import Array, Float, PyTree

# Of the parameters that the population is known by, and of what is sown.
STATISTICS = ("mean", "variance")
# The collection that training sows a batch's moments into, if it is mutable.
MOMENTS = "moments"
_EPSILON = 1e-5  # torch's


class BatchNorm(nn.Module):
  """Every channel, the last axis, to mean 0 and variance 1, then its own.

  Under jit the batch is the global one, however many devices share it.
  """

  @nn.compact
  def __call__(
    self, x: Float[Array, "*n c"], *, training: bool
  ) -> Float[Array, "*n c"]:
    """What comes out has the input's dtype; statistics are in float32.

    Args:
      x: channels last.
      training: by the batch's own statistics, which are sown; else by the
        population's.
    """
    initializers, width = nn.initializers, x.shape[-1:]
    scale = self.param("scale", initializers.ones, width)
    bias = self.param("bias", initializers.zeros, width)
    mean = self.param("mean", initializers.zeros, width)
    variance = self.param("variance", initializers.ones, width)
    y = x.astype(jnp.float32)
    if training:
      axes = tuple(range(x.ndim - 1))
      mean = jnp.mean(y, axis=axes)
      variance = jnp.mean(jnp.square(y - mean), axis=axes)
      for name, value in zip(STATISTICS, (mean, variance), strict=True):
        self.sow(
          MOMENTS,
          name,
          value,
          init_fn=lambda: None,
          reduce_fn=lambda _, latest: latest,
        )
    else:
      mean, variance = map(jax.lax.stop_gradient, (mean, variance))
    y = (y - mean) * (scale * jax.lax.rsqrt(variance + _EPSILON)) + bias
    return y.astype(x.dtype)


def calibrated(params: PyTree, moments: Iterable[PyTree]) -> PyTree:
  """Parameters whose population is that of some training batches.

  Over batches B of one size, mean = E[mean_B] and variance =
  E[mean_B^2 + variance_B] - mean^2 (Wu and Johnson 2021, section 3).

  Args:
    params: of a model with `BatchNorm`s, as nested dictionaries.
    moments: of each batch, what `MOMENTS` held after a pass with these
      parameters.

  Raises:
    ValueError: there is no batch.
  """
  totals, count = {}, 0
  for batch in moments:
    count += 1
    rows = {
      path: np.asarray(value, np.float64)
      for path, value in traverse_util.flatten_dict(dict(batch)).items()
    }
    for path, value in rows.items():
      if path[-1] == "variance":
        # Second moments add up, variances do not.
        value = value + np.square(rows[*path[:-1], "mean"])
      totals[path] = totals.get(path, 0.0) + value
  if not count:
    raise ValueError("a population of no batch")
  found = {}
  for path, total in totals.items():
    value = total / count
    if path[-1] == "variance":
      value = value - np.square(totals[*path[:-1], "mean"] / count)
    found[path] = jnp.asarray(value, jnp.float32)
  return traverse_util.unflatten_dict(
    {**traverse_util.flatten_dict(dict(params)), **found}
  )
