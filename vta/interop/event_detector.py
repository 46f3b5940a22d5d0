"""Names of the event detector's parameters in public torch checkpoints.

torchvision's r2plus1d_18, trained on Kinetics, is a trunk. The checkpoints of
XYPB/CondFoleyGen's onset baseline and of open-mmlab/FoleyCrafter's timestamp
detector (timestamp_detector.pth.tar) are the whole network: the same trunk
under `net.model.` and the head, in a dictionary whose `state_dict` they are.
"""

from __future__ import annotations

import functools
import os
import pathlib
from collections.abc import Iterator
from typing import Literal

import jax
import jax.numpy as jnp
import ml_dtypes  # noqa: F401, teaches NumPy the name bfloat16
import numpy as np

from vta import errors
from vta.encoders import torch_file
from vta.interop import tables, tensors, trees
from vta.interop.tables import Layout, Row
from vta.models import event_detector

Format = Literal["torchvision", "condfoleygen"]

_TRUNK = "net.model."
# What torch's DataParallel writes before every name.
_PARALLEL = "module."
# torchvision's classifier of Kinetics' 400 actions, for which we have no place.
_CLASSIFIER = ("fc.weight", "fc.bias")
_FLOATS = ("F64", "F32", "F16", "BF16")

# [out, in, 1, h, w] and [h, w, in, out].
_SPATIAL = Layout(
  ours=lambda x: x[:, :, 0].transpose(2, 3, 1, 0),
  theirs=lambda x: x.transpose(3, 2, 0, 1)[:, :, None],
)
# [out, in, f, 1, 1] and [f, 1, in, out].
_TEMPORAL = Layout(
  ours=lambda x: x[..., 0].transpose(2, 3, 1, 0),
  theirs=lambda x: x.transpose(3, 2, 0, 1)[..., None],
)
_NORM = (
  ("scale", "weight"),
  ("bias", "bias"),
  ("mean", "running_mean"),
  ("variance", "running_var"),
)


def rows(
  sizes: event_detector.EventDetectorConfig, naming: Format
) -> Iterator[Row]:
  """The table of a trunk, or for "condfoleygen" of the whole network."""
  whole = naming == "condfoleygen"
  prefix = _TRUNK if whole else ""
  yield from _factored("stem", f"{prefix}stem")
  yield from _norm("stem_norm", f"{prefix}stem.4")
  for stage, count in enumerate(sizes.blocks):
    for i in range(count):
      ours, theirs = f"stage_{stage}_{i}", f"{prefix}layer{stage + 1}.{i}"
      for k in range(2):
        yield from _factored(f"{ours}/conv_{k}", f"{theirs}.conv{k + 1}.0")
        yield from _norm(f"{ours}/norm_{k}", f"{theirs}.conv{k + 1}.1")
      if stage and not i:
        yield Row(
          ours=f"trunk/{ours}/shortcut/kernel",
          theirs=f"{theirs}.downsample.0.weight",
          layout=_SPATIAL,
        )
        yield from _norm(f"{ours}/shortcut_norm", f"{theirs}.downsample.1")
  if whole:
    for ours, theirs in (("hidden", "fc.0"), ("logit", "fc.2")):
      yield Row(
        ours=f"{ours}/kernel", theirs=f"{theirs}.weight", layout=tables.LINEAR
      )
      yield Row(ours=f"{ours}/bias", theirs=f"{theirs}.bias")


def _factored(ours: str, theirs: str) -> Iterator[Row]:
  """Both halves and the norm between them."""
  for half, place, layout in (
    ("spatial", 0, _SPATIAL),
    ("temporal", 3, _TEMPORAL),
  ):
    yield Row(
      ours=f"trunk/{ours}/{half}/kernel",
      theirs=f"{theirs}.{place}.weight",
      layout=layout,
    )
  yield from _norm(f"{ours}/norm", f"{theirs}.1")


def _norm(ours: str, theirs: str) -> Iterator[Row]:
  for mine, name in _NORM:
    yield Row(ours=f"trunk/{ours}/{mine}", theirs=f"{theirs}.{name}")


@functools.cache
def like(sizes: event_detector.EventDetectorConfig) -> dict:
  """The shapes of a network's parameters, without computing any."""
  frames = jax.ShapeDtypeStruct((1, 1, 8, 8, 3), jnp.uint8)

  def init(frames):
    network = event_detector.Network(sizes)
    return network.init(jax.random.key(0), frames, training=False)

  return jax.eval_shape(init, frames)["params"]


def read(
  path: str | os.PathLike, sizes: event_detector.EventDetectorConfig
) -> dict:
  """Parameters of a checkpoint: "trunk", and the head of a whole network.

  torchvision's classifier is left out by its name, `fc`; the counters of batch
  norm are no weights either.

  Args:
    path: .safetensors, or else what torch saved, read without trust.
    sizes: what the checkpoint has to fit.

  Raises:
    InputError: the file cannot be read, or naming every tensor that is missing,
      unknown or of another shape.
  """
  found = {
    name.removeprefix(_PARALLEL): tensor for name, tensor in _tensors(path)
  }
  whole = any(name.startswith(_TRUNK) for name in found)
  if not whole:
    found = {n: x for n, x in found.items() if n not in _CLASSIFIER}
  table = list(rows(sizes, "condfoleygen" if whole else "torchvision"))
  made = like(sizes)
  if not whole:
    made = {"trunk": made["trunk"]}
  wrong = tables.mismatches(
    table,
    ours={name: leaf.shape for name, leaf in trees.flatten(made).items()},
    theirs={name: tensor.shape for name, tensor in found.items()},
  )
  if wrong:
    raise errors.InputError(
      path, f"{len(wrong)} tensors do not fit the model: {'; '.join(wrong)}"
    )
  return trees.unflatten(
    {
      name: np.ascontiguousarray(tensor)
      for name, tensor in tables.to_ours(table, found.__getitem__)
    }
  )


def _tensors(path: str | os.PathLike) -> Iterator[tuple[str, np.ndarray]]:
  """The floating-point tensors of a file, as float32."""
  if pathlib.Path(path).suffix != ".safetensors":
    yield from torch_file.read_tensors(path, inside="state_dict").items()
    return
  reader = tensors.Reader(pathlib.Path(path))
  for name in reader.shapes:
    if reader.dtype(name) in _FLOATS:
      yield name, reader.read(name).astype(np.float32)
