"""The transformer that CLIP's and DINOv2's towers share, inference only.

Dosovitskiy et al. 2020 (arXiv 2010.11929): a picture is a class token and one
token per patch; every layer puts its norms before attention and MLP. Here is
also what the ports, LanguageBind's too, have in common around it: fields of
config.json, tensors as parameters, and batches of a few fixed sizes.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PyTree, Shaped

from vta import errors
from vta.encoders import batches

# What the matrix products are computed in; parameters, norms, softmax and the
# sum of the branches stay in float32.
Dtype = Literal["float32", "bfloat16"]
# Gives the tensor of a name after a check of its shape: weights.taking.
Take = Callable[..., np.ndarray]
# More rows run in several batches: bounds memory and compilations.
_BATCH = 16
# Metadata of a config's field that may be zero or negative.
SIGNED = {"signed": True}
# As in bert.py: the same features on every accelerator.
PRECISION = jax.lax.Precision.HIGHEST
# What torch's bicubic interpolation calls A; Pillow and JAX have -0.5.
_CUBIC = -0.75

_Config = TypeVar("_Config")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stack:
  """Geometry of a stack of layers.

  Attributes:
    width: of a token.
    layers: how many.
    heads: of the attention.
    inner: width inside the MLP.
    epsilon: of the layer norms.
    activation: in the MLP; "gelu" is the exact one, and "swiglu" multiplies
      one half of a twice as wide layer with the SiLU of the other.
    layer_scale: whether each branch has a gain per channel.
    causal: whether a token sees only itself and those before it.
    frames: of a video, if its pictures follow each other in the batch: every
      layer first lets a token see those in its place in the other frames
      (LanguageBind, arXiv 2310.01852). 0 for pictures that are alone.
  """

  width: int
  layers: int
  heads: int
  inner: int
  epsilon: float
  activation: Literal["gelu", "quick_gelu", "swiglu"]
  layer_scale: bool = False
  causal: bool = False
  frames: int = 0


class Picture(nn.Module):
  """A picture as its class token and its patches, row by row."""

  width: int
  patch: int  # pixels along a side
  grid: tuple[int, int]  # rows and columns of patches in training
  bias: bool
  dtype: DTypeLike
  classes: int = 1  # class tokens, which pictures have in turn

  @nn.compact
  def __call__(
    self, pictures: Float[Array, "b h w 3"]
  ) -> Float[Array, "b t d"]:
    patch, batch = self.patch, len(pictures)
    rows, columns = (size // patch for size in pictures.shape[1:3])
    # A convolution with stride and kernel alike is one matrix product.
    x = pictures[:, : rows * patch, : columns * patch]
    x = x.reshape(batch, rows, patch, columns, patch, 3).swapaxes(2, 3)
    x = x.reshape(batch, rows * columns, -1)
    x = dense(self.width, "patches", self.dtype, bias=self.bias)(x)
    zeros = nn.initializers.zeros
    first = self.param("class_token", zeros, (self.classes, self.width))
    count = 1 + math.prod(self.grid)
    table = self.param("positions", zeros, (count, self.width))
    # Positions of pictures of another size lie between those of training.
    spread = jnp.einsum(
      "ri,cj,ijd->rcd",
      cubic(self.grid[0], rows),
      cubic(self.grid[1], columns),
      table[1:].reshape(*self.grid, self.width),
      precision=PRECISION,
    )
    x = x + spread.reshape(x.shape[1:])
    first = jnp.tile(first + table[0], (batch // self.classes, 1))
    return jnp.concatenate([first[:, None], x], axis=1)


def transform(
  x: Float[Array, "b t d"], stack: Stack, *, dtype: DTypeLike
) -> Float[Array, "b t d"]:
  """All layers, as the submodule "layers" of the module that calls."""
  # Scanned, as in bert.py: they compile in the time of one.
  layers = nn.scan(
    _Layer,
    variable_axes={"params": 0},
    split_rngs={"params": True},
    length=stack.layers,
  )
  x, _ = layers(stack, dtype, name="layers")(x, None)
  return x


def dense(
  features: int, name: str, dtype: DTypeLike, *, bias: bool = True
) -> nn.Dense:
  """A linear layer with products in `dtype`."""
  return nn.Dense(
    features, use_bias=bias, dtype=dtype, precision=PRECISION, name=name
  )


def norm(name: str, epsilon: float) -> nn.LayerNorm:
  """A layer norm whose variance does not suffer from a large mean."""
  return nn.LayerNorm(epsilon, use_fast_variance=False, name=name)


class _Layer(nn.Module):
  """Attention and MLP, each after its norm, each added to what came in."""

  stack: Stack
  dtype: DTypeLike

  @nn.compact
  def __call__(self, x, _):
    stack = self.stack

    def project(y, features, name):
      return dense(features, name, self.dtype)(y)

    def scaled(y, name):
      if not stack.layer_scale:
        return y
      return y * self.param(name, nn.initializers.ones, (stack.width,))

    if stack.frames:
      # (b f) n d -> (b n) f d: the same layer, between frames.
      count = x.shape[1]
      x = x.reshape(-1, stack.frames, *x.shape[1:]).swapaxes(1, 2)
      x = x.reshape(-1, stack.frames, stack.width)
      shape = (stack.frames, stack.width)
      x = x + self.param("time_positions", nn.initializers.zeros, shape)
      y = norm("time_attention_norm", stack.epsilon)(x)
      x = x + _attend(y, stack, self.dtype, prefix="time_")
      x = x.reshape(-1, count, *shape).swapaxes(1, 2)
      x = x.reshape(-1, count, stack.width)
    y = norm("attention_norm", stack.epsilon)(x)
    y = _attend(y, stack, self.dtype)
    x = x + scaled(y, "attention_scale")
    y = norm("mlp_norm", stack.epsilon)(x)
    if stack.activation == "swiglu":
      gate, y = jnp.split(project(y, 2 * stack.inner, "mlp_in"), 2, axis=-1)
      y = nn.silu(gate) * y
    else:
      y = project(y, stack.inner, "mlp_in")
      if stack.activation == "gelu":
        y = nn.gelu(y, approximate=False)
      else:
        y = y * nn.sigmoid(1.702 * y)
    y = project(y, stack.width, "mlp_out")
    return x + scaled(y, "mlp_scale"), None


def _attend(
  x: Float[Array, "b t d"], stack: Stack, dtype: DTypeLike, *, prefix: str = ""
) -> Float[Array, "b t d"]:
  """Attention of each row's tokens, in submodules with that prefix."""
  q, k, v = (
    dense(stack.width, f"{prefix}{name}", dtype)(x).reshape(
      *x.shape[:2], stack.heads, -1
    )
    for name in ("query", "key", "value")
  )
  scores = jnp.einsum(
    "bqhd,bkhd->bhqk",
    q,
    k,
    precision=PRECISION,
    preferred_element_type=jnp.float32,
  )
  scores = scores / math.sqrt(q.shape[-1])
  if stack.causal:
    seen = jnp.tril(jnp.ones(scores.shape[-2:], bool))
    scores = jnp.where(seen, scores, -jnp.inf)
  y = jnp.einsum(
    "bhqk,bkhd->bqhd",
    nn.softmax(scores).astype(v.dtype),
    v,
    precision=PRECISION,
  )
  return dense(stack.width, f"{prefix}attention_out", dtype)(y.reshape(x.shape))


def cubic(
  inputs: int, outputs: int, *, corners: bool = False
) -> Float[np.ndarray, "{outputs} {inputs}"]:
  """Matrix of torch's bicubic interpolation without antialiasing.

  With `corners`, the first and the last input stay where they are; otherwise
  the edges around them do.
  """
  if corners:
    places = np.linspace(0, inputs - 1, outputs)
  else:
    places = (np.arange(outputs) + 0.5) * inputs / outputs - 0.5
  taps = np.floor(places)[:, None] + np.arange(-1, 3)
  far = np.abs(places[:, None] - taps)
  gains = np.where(
    far <= 1,
    ((_CUBIC + 2) * far - (_CUBIC + 3)) * far**2 + 1,
    (((far - 5) * far + 8) * far - 4) * _CUBIC,
  )
  matrix = np.zeros((outputs, inputs), np.float32)
  # Past the edge, the edge counts again.
  columns = np.clip(taps, 0, inputs - 1).astype(int)
  np.add.at(matrix, (np.arange(outputs)[:, None], columns), gains)
  return matrix


def parse(
  config: type[_Config], document: Mapping, *, where: str | os.PathLike
) -> _Config:
  """The fields of a dataclass out of a config.json.

  What is not there has the dataclass's default: transformers leaves out what
  equals its own.

  Raises:
    InputError: listing every field that is of no use.
  """
  values, wrong = {}, []
  for field in dataclasses.fields(config):
    value = values[field.name] = document.get(field.name, field.default)
    if isinstance(field.default, bool | str):
      if not isinstance(value, type(field.default)):
        wrong.append(f"{field.name} must not be {value!r}")
      continue
    number = int if isinstance(field.default, int) else int | float
    if isinstance(field.default, tuple):
      whole = isinstance(value, list | tuple) and value
      if not whole or any(type(x) is not int or x <= 0 for x in value):
        wrong.append(f"{field.name} must list whole numbers, not {value!r}")
      else:
        values[field.name] = tuple(value)
      continue
    kind = "number" if field.metadata == SIGNED else "positive number"
    if (
      isinstance(value, bool)
      or not isinstance(value, number)
      or (value <= 0 and kind != "number")
    ):
      wrong.append(f"{field.name} must be a {kind}, not {value!r}")
    elif isinstance(field.default, float):
      values[field.name] = float(value)
  heads = values.get("num_attention_heads")
  if not wrong and isinstance(heads, int) and values["hidden_size"] % heads:
    wrong.append("hidden_size must be a multiple of num_attention_heads")
  if wrong:
    raise errors.InputError(where, "; ".join(wrong))
  return config(**values)


def convert_norm(take: Take, name: str, width: int) -> dict:
  """A torch LayerNorm as parameters of `norm`."""
  return {
    "scale": take(f"{name}.weight", width),
    "bias": take(f"{name}.bias", width),
  }


def convert_dense(take: Take, name: str, inputs: int, outputs: int) -> dict:
  """A torch Linear, which keeps [out, in], as parameters of `dense`."""
  return {
    "kernel": take(f"{name}.weight", outputs, inputs).T,
    "bias": take(f"{name}.bias", outputs),
  }


def convert_patches(
  take: Take, name: str, width: int, patch: int
) -> Float[np.ndarray, "inputs {width}"]:
  """The weight of a torch Conv2d as the kernel of `Picture`'s patches."""
  weight = take(f"{name}.weight", width, 3, patch, patch)
  return weight.transpose(2, 3, 1, 0).reshape(-1, width)


def convert_layers(
  take: Take, stack: Stack, root: str, names: Mapping[str, str]
) -> dict:
  """The parameters that `transform` wants.

  Args:
    take: as above.
    stack: the layers' geometry.
    root: what stands before a layer's number.
    names: our name of each of a layer's parts -> theirs.
  """
  width = stack.width
  twice = 2 if stack.activation == "swiglu" else 1
  sizes = {
    "mlp_in": (width, twice * stack.inner),
    "mlp_out": (stack.inner, width),
  }

  def convert(part, name):
    if part == "time_positions":
      return take(name, 1, stack.frames, width)[0]
    if part.endswith("_norm"):
      return convert_norm(take, name, width)
    if part.endswith("_scale"):
      return take(name, width)
    return convert_dense(take, name, *sizes.get(part, (width, width)))

  def stacked(part, name):
    layers = [convert(part, f"{root}.{i}.{name}") for i in range(stack.layers)]
    return jax.tree.map(lambda *xs: np.stack(xs), *layers)

  return {part: stacked(part, name) for part, name in names.items()}


def encode(
  tower: nn.Module,
  params: PyTree,
  inputs: Shaped[np.ndarray, "n ..."],
  *,
  prepare: Callable[[np.ndarray], np.ndarray] = lambda batch: batch,
  pictures: int = 1,
) -> Any:
  """What a tower makes of each row, on the host.

  A batch is padded to a power of two, so that any number of rows compiles at
  most five programs.

  Args:
    tower: the module.
    params: its parameters.
    inputs: the rows; none is fine.
    prepare: from a batch of rows to what the tower takes.
    pictures: in a row; of rows with several, a batch has fewer.
  """
  rows = max(_BATCH // pictures, 1)

  def run():
    # Of no rows too, as one of zeros: the shapes are theirs.
    for start in range(0, max(len(inputs), 1), rows):
      batch = inputs[start : start + rows]
      full = batches.pad(batch, batches.power_of_two(len(batch)))
      yield len(batch), _forward(tower, params, prepare(full))

  parts = [
    jax.tree.map(lambda x, n=count: np.asarray(x)[:n], made)
    for count, made in batches.ahead(run())
  ]
  return jax.tree.map(lambda *xs: np.concatenate(xs), *parts)


@functools.partial(jax.jit, static_argnums=0)
def _forward(tower: nn.Module, params: PyTree, inputs: Array) -> Any:
  return tower.apply({"params": params}, inputs)
