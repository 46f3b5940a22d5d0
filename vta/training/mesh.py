"""Devices as a mesh, and which of its axes the names of activations stand for.

  data     the batch, one copy of the parameters per group of devices
  fsdp     the batch too, with the parameters cut up among the devices
  tensor   heads and hidden channels

The axes are Auto: the compiler propagates what parameters, batches and the
logical constraints in the models say. Several slices of a pod are joined along
`data`, whose one reduction a step is all that has to cross the slower network.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import flax.linen as nn
import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh, PartitionSpec

from vta import errors

AXES = ("data", "fsdp", "tensor")
BATCH = PartitionSpec(("data", "fsdp"))
# What models call the dimensions of their activations.
LOGICAL = (
  ("batch", ("data", "fsdp")),
  ("length", None),
  ("width", None),
  ("heads", "tensor"),
  ("hidden", "tensor"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
  """How many devices each axis has; -1, of one axis, is all that are left."""

  data: int = -1
  fsdp: int = 1
  tensor: int = 1

  def shape(self, devices: int) -> tuple[int, ...]:
    """Sizes of the axes for so many devices.

    Raises:
      InputError: they do not come out even, or two sizes are left open.
    """
    sizes = dataclasses.astuple(self)
    open_axes = [i for i, size in enumerate(sizes) if size == -1]
    known = int(np.prod([size for size in sizes if size != -1]))
    said = ", ".join(f"{k} {v}" for k, v in zip(AXES, sizes, strict=True))
    if any(size < 1 and size != -1 for size in sizes) or len(open_axes) > 1:
      raise errors.InputError(
        "config: mesh", f"{said}: sizes are 1 or more, and one may be -1"
      )
    if devices % known or (not open_axes and devices != known):
      raise errors.InputError(
        "config: mesh", f"{said} does not fit {devices} devices"
      )
    return tuple(devices // known if size == -1 else size for size in sizes)


def make(
  layout: Mapping[str, int] | None = None,
  *,
  devices: Sequence[jax.Device] | None = None,
) -> Mesh:
  """A mesh of a config's section "mesh", or of data alone.

  Args:
    layout: sizes of axes; see `Layout`.
    devices: all there are unless given, as for a topology that is not here.

  Raises:
    InputError: an axis has no such name, or the sizes do not fit the devices.
  """
  layout = dict(layout or {})
  if unknown := sorted(layout.keys() - set(AXES)):
    raise errors.InputError(
      "config: mesh", f"no axis is called {', '.join(unknown)}"
    )
  devices = jax.devices() if devices is None else list(devices)
  shape = Layout(**layout).shape(len(devices))
  slices = {getattr(device, "slice_index", 0) for device in devices}
  if len(slices) > 1:
    if shape[0] % len(slices):
      raise errors.InputError(
        "config: mesh",
        f"data is {shape[0]}, no multiple of the {len(slices)} slices",
      )
    inside = (shape[0] // len(slices), *shape[1:])
    grid = mesh_utils.create_hybrid_device_mesh(
      inside, (len(slices), 1, 1), devices
    )
  else:
    # Where an axis is no side of a pod's torus, a part of one.
    grid = mesh_utils.create_device_mesh(
      shape, devices, allow_split_physical_axes=True
    )
  return Mesh(grid, AXES, axis_types=(AxisType.Auto,) * len(AXES))


@contextlib.contextmanager
def use(mesh: Mesh) -> Iterator[Mesh]:
  """Makes the models' logical constraints mean this mesh.

  `jax.set_mesh`, not `with mesh`, under which flax drops every one of them.
  """
  with jax.set_mesh(mesh), nn.logical_axis_rules(LOGICAL):
    yield mesh
