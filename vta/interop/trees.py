"""Parameter trees as flat tables of paths, and what differs between two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

# Names of what is a vector in every block, whatever holds the blocks.
_VECTORS = {"bias", "scale", "to_scale_shift_gate"}


def flatten(tree: PyTree) -> dict[str, Any]:
  """Nested containers to {"a/b/c": leaf}."""
  rows, _ = jax.tree_util.tree_flatten_with_path(tree)
  return {"/".join(_name(key) for key in path): leaf for path, leaf in rows}


def unflatten(table: Mapping[str, Any]) -> dict:
  """Inverse of `flatten` for nested dictionaries."""
  tree: dict = {}
  for path, leaf in table.items():
    *folders, name = path.split("/")
    node = tree
    for folder in folders:
      node = node.setdefault(folder, {})
    node[name] = leaf
  return tree


def is_matrix(path: str, leaf: Any) -> bool:
  """Whether a parameter is a matrix or more, not a gain or a bias.

  Scanned blocks stack theirs, so that a bias may have two axes.
  """
  return np.ndim(leaf) > 1 and path.rpartition("/")[2] not in _VECTORS


def mismatches(expected: PyTree, found: PyTree) -> list[str]:
  """Every leaf whose path or shape differs, one phrase each."""
  want = {name: np.shape(leaf) for name, leaf in flatten(expected).items()}
  have = {name: np.shape(leaf) for name, leaf in flatten(found).items()}
  return shape_mismatches(want, have)


def shape_mismatches(
  want: Mapping[str, tuple[int, ...]], have: Mapping[str, tuple[int, ...]]
) -> list[str]:
  """`mismatches` of tables of path -> shape."""
  missing = sorted(want.keys() - have.keys())
  extra = sorted(have.keys() - want.keys())
  return (
    [f"{name} is missing" for name in missing]
    + [f"{name} is not in the model" for name in extra]
    + [
      f"{name} has shape {have[name]}, the model's is {want[name]}"
      for name in sorted(want.keys() & have.keys())
      if want[name] != have[name]
    ]
  )


def summary(found: list[str]) -> str:
  """The first mismatches, for an error's one line."""
  return "; ".join(found[:8]) + ("; ..." if len(found) > 8 else "")


def _name(key: Any) -> str:
  for attribute in ("key", "name", "idx"):
    if hasattr(key, attribute):
      return str(getattr(key, attribute))
  return str(key)
