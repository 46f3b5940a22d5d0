"""A data set's entries as a TFDS data set: written once, read by everything.

TFDS is the format (ArrayRecord, read without tensorflow) and the catalogue
(names, versions, citations, counts); media stay where they are.
"""

from __future__ import annotations

import abc
import dataclasses
import pathlib
from collections.abc import Iterable, Mapping

import numpy as np
import tensorflow_datasets as tfds

from data_prep.sets import entry as entry_lib
from vta import errors

_TEXTS = tfds.features.Sequence(tfds.features.Text())
FEATURES = tfds.features.FeaturesDict(
  {
    "id": tfds.features.Text(),
    "source": tfds.features.Text(),
    "media": tfds.features.Text(),
    "start": np.float64,
    "end": np.float64,
    "captions": _TEXTS,
    "labels": _TEXTS,
    "events": tfds.features.Sequence(
      {
        "start": np.float64,
        "end": np.float64,
        "label": tfds.features.Text(),
      }
    ),
    "licence": tfds.features.Text(),
  }
)


class Catalogue(tfds.core.GeneratorBasedBuilder, skip_registration=True):
  """A set on disk; a subclass reads the layout that the set is published in.

  Attributes:
    description, citation, homepage: of the set, for its card.
  """

  VERSION = tfds.core.Version("1.0.0")
  description = ""
  citation = ""
  homepage = ""

  def __init__(self, root: pathlib.Path, *, out: pathlib.Path):
    """`root` is the set's folder; `out` is where the catalogue goes."""
    self._root = root
    super().__init__(data_dir=out, file_format="array_record")

  @abc.abstractmethod
  def entries(self, root: pathlib.Path) -> Mapping[str, list[entry_lib.Entry]]:
    """What the files of annotations say, by split; opens no media.

    Raises:
      InputError: naming the file, the line and the column that is wrong.
    """

  def _info(self) -> tfds.core.DatasetInfo:
    return tfds.core.DatasetInfo(
      builder=self,
      description=self.description,
      features=FEATURES,
      homepage=self.homepage,
      citation=self.citation,
    )

  def _split_generators(self, dl_manager):
    del dl_manager  # nothing is downloaded
    found = {k: v for k, v in self.entries(self._root).items() if v}
    if not found:
      raise errors.InputError(self._root, f"holds no clips of {self.name}")
    return {k: self._generate_examples(v) for k, v in found.items()}

  def _generate_examples(self, entries: Iterable[entry_lib.Entry]):
    for one in entries:
      yield one.id, dataclasses.asdict(one)


def read(folder: pathlib.Path) -> Mapping[str, list[entry_lib.Entry]]:
  """The entries of a catalogue by split, in the order of their ids.

  Raises:
    InputError: there is no catalogue.
  """
  builder = _builder(folder)
  try:
    sources = builder.as_data_source()
  except Exception as error:  # TFDS raises what its parts raise
    raise errors.InputError(folder, f"cannot be read: {error}") from None
  return {
    split: sorted(map(_entry, source), key=lambda one: one.id)
    for split, source in sources.items()
  }


def _entry(example: Mapping) -> entry_lib.Entry:
  def text(value):
    return value.decode() if isinstance(value, bytes) else str(value)

  def texts(values):
    return tuple(text(value) for value in values)

  events = example["events"]
  columns = (events["start"], events["end"], events["label"])
  return entry_lib.Entry(
    id=text(example["id"]),
    source=text(example["source"]),
    media=text(example["media"]),
    start=float(example["start"]),
    end=float(example["end"]),
    captions=texts(example["captions"]),
    labels=texts(example["labels"]),
    events=tuple(
      entry_lib.Event(start=float(a), end=float(b), label=text(label))
      for a, b, label in zip(*columns, strict=True)
    ),
    licence=text(example["licence"]),
  )


def about(folder: pathlib.Path) -> Mapping[str, str]:
  """What a catalogue says of its set, for its card.

  Raises:
    InputError: there is no catalogue.
  """
  info = _builder(folder).info
  return {
    "name": info.name,
    "version": str(info.version),
    "description": (info.description or "").strip(),
    "homepage": info.homepage or "",
    "citation": (info.citation or "").strip(),
    "licence": (info.redistribution_info.license or "").strip(),
  }


def _builder(folder: pathlib.Path) -> tfds.core.DatasetBuilder:
  try:
    return tfds.builder_from_directory(folder)
  except Exception as error:  # TFDS raises what its parts raise
    raise errors.InputError(
      folder, f"is no catalogue of `python -m data_prep.index`: {error}"
    ) from None
