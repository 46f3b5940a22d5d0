"""Our parameters under the names of our torch module, by rule.

`vta/interop/torch_module` is written so that its names follow from ours: an
index or an entry's name behind an underscore is a module of its own there
(`to_out_0` is `to_out.0`, `input_events` is `input.events`), blocks are apart,
and the last name tells what a tensor is and how its axes lie.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from vta.interop import tables

# Last name and number of axes -> torch's name and the layout.
_WEIGHT_NORM = "parametrizations.weight.original"
_LEAVES = {
  ("kernel", 2): ("weight", tables.LINEAR),
  ("kernel", 3): ("weight", tables.CONVOLUTION),
  ("scale", 1): ("weight", tables.SAME),
  ("bias", 1): ("bias", tables.SAME),
  ("g", 1): (f"{_WEIGHT_NORM}0", tables.GAIN),
  ("v", 3): (f"{_WEIGHT_NORM}1", tables.CONVOLUTION),
}
# A module's own parameters: snake's, frequencies, adaLN's, tables and nulls.
_OWN = re.compile("alpha|beta|weights?|to_scale_shift_gate|task|null_[a-z]+")
_STACK = "transformer_blocks/"
_TRANSPOSED = "conv_t1"
_MODULES = (
  (re.compile(r"\b(input|block)_(?=[a-z])"), r"\1."),
  (re.compile(r"_(\d+)_"), r".\1."),
  (re.compile(r"_(\d+)\b"), r".\1"),
)


def rows(shapes: Mapping[str, tuple[int, ...]]) -> Iterator[tables.Row]:
  """The table of a part.

  Args:
    shapes: path -> shape of all of its parameters.

  Raises:
    ValueError: no rule names a parameter, or two get one name; a bug.
  """
  taken = set()
  for path, shape in shapes.items():
    stacked = path.startswith(_STACK)
    for layer in range(shape[0]) if stacked else [None]:
      own = path.removeprefix(_STACK)
      name, layout = _named(own, axes=len(shape) - stacked)
      if stacked:
        name = f"{_STACK[:-1]}.{layer}.{name}"
      if name in taken:
        raise ValueError(f"two parameters are {name}")
      taken.add(name)
      yield tables.Row(ours=path, theirs=name, layout=layout, layer=layer)


def _named(path: str, *, axes: int) -> tuple[str, tables.Layout]:
  *modules, leaf = path.split("/")
  if (leaf, axes) in _LEAVES:
    leaf, layout = _LEAVES[leaf, axes]
    if layout is tables.CONVOLUTION and modules[-1] == _TRANSPOSED:
      layout = tables.TRANSPOSED
  elif _OWN.fullmatch(leaf):
    layout = tables.SAME
  else:
    raise ValueError(f"no torch name for {path} of {axes} axes")
  stem = ".".join(modules)
  for pattern, replacement in _MODULES:
    stem = pattern.sub(replacement, stem)
  return f"{stem}.{leaf}" if stem else leaf, layout
