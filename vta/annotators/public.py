"""Public models that run as they are, by transformers' torch classes.

What an annotator makes is kept in a cue sheet or a record, so nothing is
gained by a port. Neither library is part of the core: they are imported when a
model is loaded. Weights are read from safetensors alone, which cannot run
anything, no code comes with a model, and nothing is downloaded.
"""

from __future__ import annotations

import os
from typing import Any

from vta import errors
from vta.encoders import weights


def load(folder: str | os.PathLike, kind: str, *, like: str) -> tuple[Any, Any]:
  """The processor and the model of a Hugging Face folder, for the CPU.

  Args:
    folder: where they are.
    kind: transformers' class for such models, an Auto class.
    like: a public folder of such a model.

  Raises:
    InputError: torch is not installed, or naming the folder and what
      transformers cannot do with it.
  """
  path = weights.checked_folder(folder, ("config.json",), like=like)
  try:
    import torch  # noqa: F401, transformers leaves its classes out without it
    import transformers
  except ImportError:
    raise errors.InputError(
      path,
      "needs PyTorch, which is not installed: run `pip install torch==2.13.0`",
    ) from None
  transformers.utils.logging.disable_progress_bar()
  local = {"local_files_only": True, "trust_remote_code": False}
  try:
    processor = transformers.AutoProcessor.from_pretrained(path, **local)
    model, found = getattr(transformers, kind).from_pretrained(
      path,
      **local,
      use_safetensors=True,
      dtype="auto",
      output_loading_info=True,
    )
  # Their loaders raise whatever the parsers below them do.
  except Exception as error:
    raise errors.InputError(
      path, f"transformers cannot load it: {error}"
    ) from None
  if found["missing_keys"]:
    # It would only warn, and go on with random numbers.
    names = ", ".join(sorted(found["missing_keys"])[:3])
    raise errors.InputError(
      path, f"{len(found['missing_keys'])} tensors are missing: {names}, ..."
    )
  return processor, model.eval()
