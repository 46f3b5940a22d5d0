"""Which device has which part of a parameter: rules by name (design.md).

The first rule whose pattern is found in a parameter's path says which axes of
the mesh its last dimensions are cut along; stacked blocks have one dimension
more in front, which is never cut. Where a size is no multiple of its axis, and
for matrices without a rule of their own, the largest dimension that is goes to
fsdp. Optimizer states and averages end in their parameter's path and lie where
it lies. A name that no rule knows is an error: silence would copy it to all.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

_FALLBACK = None
_WHOLE = ()
RULES: tuple[tuple[str, tuple[str | None, ...] | None], ...] = (
  # The tensor axis cuts heads and hidden channels: out of the first product of
  # a pair and into the second, so that one sum joins what was apart.
  (r"/to_(q|k|v)(_\w+)?/kernel$", ("fsdp", "tensor")),
  (r"/to_out_0/kernel$", ("tensor", "fsdp")),
  (r"/ff/net_0_proj/kernel$", ("fsdp", "tensor")),
  (r"/ff/net_0_proj/bias$", ("tensor",)),
  (r"/ff/net_2/kernel$", ("tensor", "fsdp")),
  # Matrices, convolutions (`v` beside its lengths `g`), tables, adapters.
  (r"/(kernel|v|task|lora_a|lora_b)$", _FALLBACK),
  # Vectors are few.
  (r"/(bias|scale|weights?|g|alpha|beta|to_scale_shift_gate)$", _WHOLE),
  (r"/(null_\w+|mean|variance|log_scale|depthwise\w*|band_\w+)$", _WHOLE),
)
# Numbers below which a parameter is not worth gathering.
_SMALL = 2**14


def spec(
  path: str, shape: tuple[int, ...], axes: Mapping[str, int]
) -> PartitionSpec:
  """How a parameter of this name and shape is cut up.

  Args:
    path: with "/" between names.
    shape: of the parameter.
    axes: sizes of the mesh's.

  Raises:
    ValueError: no rule has such a name.
  """
  if not shape:
    return PartitionSpec()
  rule = next((own for name, own in RULES if re.search(name, f"/{path}")), 0)
  if rule == 0:
    raise ValueError(f"no rule says where {path} {shape} lies")
  if rule == _WHOLE or math.prod(shape) < _SMALL:
    return PartitionSpec()
  if rule is not _FALLBACK and len(rule) <= len(shape):
    cut = (None,) * (len(shape) - len(rule)) + rule
    if all(
      axis is None or size % axes[axis] == 0
      for axis, size in zip(cut, shape, strict=True)
    ):
      return PartitionSpec(*cut)
  return _largest(shape, axes["fsdp"])


def _largest(shape: tuple[int, ...], fsdp: int) -> PartitionSpec:
  """The largest dimension that fsdp divides, the last of several."""
  whole = [i for i, n in enumerate(shape) if n % fsdp == 0]
  if not whole:
    return PartitionSpec()
  chosen = max(whole, key=lambda i: (shape[i], i))
  return PartitionSpec(*(None,) * chosen, "fsdp")


def shardings(tree: PyTree, mesh: Mesh) -> PyTree:
  """Where every leaf of a tree of parameters or of a training state lies.

  Args:
    tree: of arrays or of their shapes.
    mesh: of `vta.training.mesh`.

  Raises:
    ValueError: no rule has a leaf's name.
  """

  def of(path, leaf):
    name = jax.tree_util.keystr(path, simple=True, separator="/")
    return NamedSharding(mesh, spec(name, tuple(leaf.shape), mesh.shape))

  return jax.tree_util.tree_map_with_path(of, tree)


def initialise(init: Callable[..., PyTree], *arguments: Any) -> PyTree:
  """`init`, each number born on the device that it will live on.

  Under jit nothing is computed but what is asked for: no forward pass.
  Outside of a mesh, as when a network is only looked at, on the default one.
  """
  mesh = jax.sharding.get_mesh()
  if mesh.empty:
    return jax.jit(init)(*arguments)
  # What networks are shown to be initialised is one clip: it cannot be cut.
  with nn.logical_axis_rules(()):
    made = shardings(jax.eval_shape(init, *arguments), mesh)
    return jax.jit(init, out_shardings=made)(*arguments)


def place(tree: PyTree, mesh: Mesh) -> PyTree:
  """A tree on the mesh; what came from a file is the same on every host."""

  def put(leaf, target):
    if isinstance(leaf, jax.Array) and leaf.sharding == target:
      return leaf
    whole = np.asarray(leaf)
    return jax.make_array_from_callback(
      whole.shape, target, lambda index: whole[index]
    )

  return jax.tree.map(put, tree, shardings(tree, mesh))
