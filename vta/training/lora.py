"""LoRA: a trained model learns a little more beside what it knows.

Hu et al. 2021, eq. 3: W + alpha / rank A B, where A is random, B starts at
zero and W stays. Adapters are a tree of their own, shaped like the parameters
they belong to, and no module knows of them:

  training   `attach` lays them beside the kernels, and under `applied` every
             layer that finds a pair there adds (x A) B to what it returns.
             Merging at every step would take a second copy of W, and a
             gradient of it to be thrown away: a third of the step.
  release    `adapted_release.merge` adds the `products` to the kernels, once.

Kernels of scanned blocks, [depth, in, out], have stacked pairs. Adapters of one
base add up, each with its own scale.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.linen import dtypes
from jaxtyping import Array, Float, Key, PyTree

from vta import errors, files
from vta.interop import tensors, trees

FORMAT = "vta-lora-1"
FILE = "lora.safetensors"
# Attention and feed-forward, wherever in the denoiser: `models.attention`'s
# and `models.layers.FeedForward`'s names.
_KERNEL = re.compile(
  r"denoiser/(.*/)?(attn\d/to_(q|k|v)(_\w+)?|attn\d/to_out_0"
  r"|ff/net_(0_proj|2))/kernel"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoraConfig:
  """Size and weight of adapters.

  Attributes:
    rank: columns of A, rows of B.
    alpha: the product's weight is alpha / rank, so that other ranks need no
      other learning rate.
  """

  rank: int
  alpha: float

  def __post_init__(self):
    if self.rank < 1:
      raise ValueError(f"rank is {self.rank}, it must be 1 or more")
    if not self.alpha > 0:
      raise ValueError(f"alpha is {self.alpha}, it must be above 0")

  @property
  def scale(self) -> float:
    """The product's weight."""
    return self.alpha / self.rank


def init(key: Key[Array, ""], params: PyTree, config: LoraConfig) -> PyTree:
  """Adapters of every attention and feed-forward kernel; they change nothing.

  Args:
    key: each pair draws from a stream of its own, named after its path.
    params: part name -> parameters or their shapes.
    config: the rank must not be above any kernel's smaller side.

  Returns:
    a tree like `params`: "lora_a" [.., in, rank] where a "kernel" [.., in, out]
    is, uniform in +-in^-1/2 as peft has it, and "lora_b" [.., rank, out], zero.

  Raises:
    ValueError: naming the kernel that the rank does not fit, or no kernel.
  """
  table = {}
  for path, leaf in trees.flatten(params).items():
    if not _KERNEL.fullmatch(path):
      continue
    *stack, rows, columns = leaf.shape
    if config.rank > min(rows, columns):
      raise ValueError(
        f"rank {config.rank} is above what {path} has: {rows} x {columns}"
      )
    layer = path.removesuffix("/kernel")
    table[f"{layer}/lora_a"] = jax.random.uniform(
      jax.random.fold_in(key, zlib.crc32(layer.encode())),
      (*stack, rows, config.rank),
      minval=-(rows**-0.5),
      maxval=rows**-0.5,
    )
    table[f"{layer}/lora_b"] = jnp.zeros((*stack, config.rank, columns))
  if not table:
    raise ValueError("there is no attention or feed-forward to adapt")
  return trees.unflatten(table)


def attach(params: PyTree, adapters: PyTree, *, scale: float) -> PyTree:
  """Parameters with adapters beside the kernels, for a call under `applied`.

  Args:
    params: nested dictionaries.
    adapters: of these parameters.
    scale: the products' weight; differentiated through.
  """
  if "lora_a" in adapters:
    return {**params, **adapters, "lora_b": scale * adapters["lora_b"]}
  return {
    **params,
    **{
      name: attach(params[name], below, scale=scale)
      for name, below in adapters.items()
    },
  }


def applied() -> contextlib.AbstractContextManager:
  """Within it, layers use the adapters that are `attach`ed to them."""
  return nn.intercept_methods(_beside)


def _beside(
  call: Callable,
  args: tuple,
  kwargs: dict[str, Any],
  context: nn.module.InterceptorContext,
) -> Any:
  """What a layer returns, and its adapter's part if it has one."""
  y, layer = call(*args, **kwargs), context.module
  if not (
    isinstance(layer, nn.Dense) and layer.has_variable("params", "lora_a")
  ):
    return y
  pair = (layer.get_variable("params", name) for name in ("lora_a", "lora_b"))
  x, a, b = dtypes.promote_dtype(args[0], *pair, dtype=layer.dtype)
  return y + (x @ a) @ b


def products(
  adapters: PyTree,
) -> dict[str, Callable[[], Float[np.ndarray, "*s i o"]]]:
  """Path of each kernel -> what computes A B: one at a time is held.

  On the host: an accelerator's matrix products are of less precision.
  """
  table = trees.flatten(adapters)

  def product(layer: str) -> Callable[[], Float[np.ndarray, "*s i o"]]:
    a, b = (table[f"{layer}/{name}"] for name in ("lora_a", "lora_b"))
    return lambda: np.asarray(a, np.float32) @ np.asarray(b, np.float32)

  layers = [p.removesuffix("/lora_a") for p in table if p.endswith("/lora_a")]
  return {f"{layer}/kernel": product(layer) for layer in layers}


def mismatches(
  shapes: Mapping[str, tuple[int, ...]], adapters: PyTree
) -> list[str]:
  """Every way in which adapters do not belong to kernels of these shapes.

  Args:
    shapes: path -> shape of every parameter.
    adapters: as `init` has them, or as a file does.
  """
  table = {
    path: np.shape(leaf) for path, leaf in trees.flatten(adapters).items()
  }
  wrong = []
  for path, shape in table.items():
    layer, _, name = path.rpartition("/")
    other = table.get(f"{layer}/lora_{'ab'[name == 'lora_a']}")
    kernel = shapes.get(f"{layer}/kernel")
    if name not in ("lora_a", "lora_b"):
      wrong.append(f"{path} is no part of an adapter")
    elif other is None:
      wrong.append(f"{path} lacks its other half")
    elif kernel is None:
      wrong.append(f"{layer}/kernel is not in the model")
    elif name == "lora_a" and (
      len(shape) < 2
      or len(other) < 2
      or shape[-1] != other[-2]
      or (*shape[:-1], other[-1]) != kernel
    ):
      wrong.append(
        f"{layer}: {shape} by {other} does not make the kernel's {kernel}"
      )
  return list(dict.fromkeys(wrong))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adapters:
  """Adapters of one base.

  Attributes:
    config: rank and alpha.
    base: `release.digest` of the part "denoiser" that they were trained on.
    tree: part name -> their pairs.
  """

  config: LoraConfig
  base: str
  tree: PyTree


def save(folder: str | os.PathLike, adapters: Adapters) -> None:
  """Writes lora.safetensors and config.json; makes the folder if missing."""
  folder = pathlib.Path(folder)
  folder.mkdir(parents=True, exist_ok=True)
  # As `release.write`: what is half written has no config.json.
  (folder / "config.json").unlink(missing_ok=True)
  table = trees.flatten(adapters.tree)
  tensors.write(
    folder / FILE,
    ((path, np.asarray(leaf, np.float32)) for path, leaf in table.items()),
  )
  document = {
    "format": FORMAT,
    **dataclasses.asdict(adapters.config),
    "base": adapters.base,
  }
  with files.atomic_path(folder / "config.json") as temporary:
    temporary.write_text(json.dumps(document, indent=2) + "\n")


def load(folder: str | os.PathLike) -> Adapters:
  """Reads a folder that `save` wrote.

  Raises:
    InputError: naming the file and what is wrong with it.
  """
  folder = pathlib.Path(folder)
  path = folder / "config.json"
  try:
    document = json.loads(path.read_text())
    if document["format"] != FORMAT:
      raise ValueError(f"format is {document['format']!r}, not {FORMAT!r}")
    config = LoraConfig(rank=document["rank"], alpha=float(document["alpha"]))
    base = document["base"]
  except (FileNotFoundError, NotADirectoryError):
    raise errors.InputError(
      folder, "holds no adapters: it has no config.json"
    ) from None
  except (OSError, ValueError, TypeError, KeyError) as error:
    raise errors.InputError(
      path, f"is not of adapters: {type(error).__name__}: {error}"
    ) from None
  reader = tensors.Reader(folder / FILE)
  for name, shape in reader.shapes.items():
    if name.endswith("/lora_a") and shape[-1:] != (config.rank,):
      raise errors.InputError(
        reader.path, f"{name} has shape {shape}, {path} says rank {config.rank}"
      )
  tree = trees.unflatten({name: reader.read(name) for name in reader.shapes})
  return Adapters(config=config, base=base, tree=tree)
