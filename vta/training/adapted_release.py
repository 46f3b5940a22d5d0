"""A release and adapters to a release that needs none.

One parameter is held at a time, and every parameter keeps the type it has.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from vta import errors
from vta.encoders import vocabulary
from vta.interop import release, tensors, trees
from vta.training import lora


def merge(
  source: pathlib.Path,
  chosen: Sequence[tuple[pathlib.Path, float]],
  out: pathlib.Path,
  *,
  guidance: Mapping[str, Any] | None = None,
) -> None:
  """Writes the release `source` with adapters added to its kernels.

  Args:
    source: a release folder.
    chosen: folders of adapters, and the scale of each: 1 is as trained.
    out: a folder; what else the release holds is copied.
    guidance: the config's section, where it is not to be the base's.

  Raises:
    InputError: naming the adapters that are not of this release, or every one
      that does not fit it.
  """
  config = release.read_config(source)
  parts = config.pop("parts")
  readers = {
    part: tensors.Reader(source / f"{part}.safetensors") for part in parts
  }
  shapes = {
    f"{part}/{path}": shape
    for part, reader in readers.items()
    for path, shape in reader.shapes.items()
  }
  loaded = [(folder, lora.load(folder), scale) for folder, scale in chosen]
  _check(loaded, readers, shapes)
  changes = [
    (scale * adapters.config.scale, lora.products(adapters.tree))
    for _, adapters, scale in loaded
  ]

  def changed(part: str) -> Iterator[tuple[str, tensors.Tensor]]:
    for path in readers[part].shapes:
      tensor = readers[part].read(path)
      kernel = tensor
      for scale, products in changes:
        if product := products.get(f"{part}/{path}"):
          kernel = np.asarray(kernel, np.float32) + scale * product()
      yield path, kernel.astype(tensor.dtype)

  release.write(
    out,
    config=config if guidance is None else {**config, "guidance": guidance},
    parts={part: changed(part) for part in parts},
    card=_card(source, loaded),
  )
  release.copy_rest(source, out)
  _merge_words(source, [folder for folder, _ in chosen], out)


def _check(loaded, readers: Mapping[str, tensors.Reader], shapes) -> None:
  for folder, adapters, _ in loaded:
    wrong = lora.mismatches(shapes, adapters.tree)
    if wrong:
      raise errors.InputError(
        folder / lora.FILE,
        f"{len(wrong)} adapters do not fit the release: {trees.summary(wrong)}",
      )
  # After the names: a digest reads the whole part.
  reader = readers["denoiser"]
  base = release.digest(
    trees.unflatten({path: reader.read(path) for path in reader.shapes})
  )
  for folder, adapters, _ in loaded:
    if adapters.base != base:
      raise errors.InputError(
        folder, f"was trained on another denoiser than {reader.path}"
      )


def _card(source: pathlib.Path, loaded) -> str:
  path = source / "README.md"
  base = path.read_text() if path.exists() else f"# {source.name}\n"
  rows = "".join(
    f"- {folder}, scale {scale:g} (rank {adapters.config.rank}, alpha "
    f"{adapters.config.alpha:g})\n"
    for folder, adapters, scale in loaded
  )
  return (
    f"# {source.name}, with adapters\n\nMerged by `python -m vta merge`:\n\n"
    f"{rows}\nNothing below was measured with them: it is the card of the "
    f"base.\n\n{base}"
  )


def _merge_words(
  source: pathlib.Path, folders: Sequence[pathlib.Path], out: pathlib.Path
) -> None:
  """The words that the base and the adapters were trained on, together."""
  known = {}
  for folder in (*folders, source):
    if (folder / vocabulary.FILE).exists():
      one = vocabulary.Vocabulary.load(folder)
      known |= zip(one.words, one.vectors, strict=True)
  if known:
    words = tuple(sorted(known))
    vectors = np.stack([known[word] for word in words])
    vocabulary.Vocabulary(words=words, vectors=vectors).save(out)
