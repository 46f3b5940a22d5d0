"""Reading `configs/NAME.py[:arg]`, with every mistake named."""

from __future__ import annotations

import ast
import importlib.util
import pathlib
from collections.abc import Sequence

import ml_collections

from vta import errors


def load(
  location: str, overrides: Sequence[str] = ()
) -> ml_collections.ConfigDict:
  """The locked config that `get_config(arg)` of a file returns.

  Args:
    location: "configs/foley.py" or "configs/foley.py:starter".
    overrides: "optimizer.learning_rate=1e-4"; values are Python literals, or
      else strings. A key must exist and keep its type.

  Raises:
    InputError: naming the file and the key.
  """
  path, _, argument = location.partition(":")
  if not pathlib.Path(path).is_file():
    raise errors.InputError(path, "there is no such config file")
  spec = importlib.util.spec_from_file_location("vta_config", path)
  module = importlib.util.module_from_spec(spec)
  try:
    spec.loader.exec_module(module)
    config = module.get_config(argument)
  except (SyntaxError, AttributeError, ValueError, ImportError) as error:
    raise errors.InputError(location, str(error)) from None
  for override in overrides:
    key, separator, text = override.partition("=")
    if not separator:
      raise errors.InputError(location, f"{override!r} is not key=value")
    try:
      value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
      value = text
    if isinstance(value, list):
      value = tuple(value)
    try:
      config.update_from_flattened_dict({key: value})
    except (KeyError, TypeError, AttributeError) as error:
      raise errors.InputError(location, f"{key}: {error}") from None
  return config.lock()
