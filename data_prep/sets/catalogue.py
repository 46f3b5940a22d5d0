"""A data set's entries as a TFDS data set: written once, read by everything.

TFDS is the format (ArrayRecord, read without tensorflow) and the catalogue
(names, versions, citations, counts); media stay where they are.
"""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import io
import json
import os
import pathlib
import struct
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import absl.logging
import numpy as np
import tensorflow_datasets as tfds
import tqdm
from etils import epath
from tensorflow_datasets.proto import tf_example_generated_pb2

from data_prep.sets import disk as disk_lib
from data_prep.sets import entry as entry_lib
from data_prep.sets import listing as listing_lib
from data_prep.sets import sides
from vta import errors

LEFT_OUT = "missing.json"
# TFDS's files that are written first, to know a catalogue by, and last: what
# has it is whole.
_FIRST, _INFO = "features.json", "dataset_info.json"
_TFDS = "tensorflow.org/datasets"
_AT_ONCE = 1024  # records
_TEXTS = tfds.features.Sequence(tfds.features.Text())
# As bytes: TFDS's numbers have 32 bits, which is too few for hours of video.
_SECONDS = tfds.features.Tensor(
  shape=(), dtype=np.float64, encoding=tfds.features.Encoding.BYTES
)
FEATURES = tfds.features.FeaturesDict(
  {
    "id": tfds.features.Text(),
    "source": tfds.features.Text(),
    "media": tfds.features.Text(),
    "start": _SECONDS,
    "end": _SECONDS,
    "captions": _TEXTS,
    "labels": _TEXTS,
    "events": tfds.features.Sequence(
      {
        "start": _SECONDS,
        "end": _SECONDS,
        "label": tfds.features.Text(),
      }
    ),
    "licence": tfds.features.Text(),
  }
)


class Clips(tfds.core.GeneratorBasedBuilder, skip_registration=True):
  """Entries that TFDS writes; a subclass knows them.

  Attributes:
    description, citation, homepage: of the set, for its card.
    licence: what its publishers say of the whole; entries may have their own.
  """

  VERSION = tfds.core.Version("1.0.0")
  description = ""
  citation = ""
  homepage = ""
  licence = ""

  def __init_subclass__(cls, skip_registration: bool = True, **kwargs):
    # TFDS keeps a table of all builders by name; ours are imported.
    super().__init_subclass__(skip_registration=skip_registration, **kwargs)

  def __init__(self, *, out: str | os.PathLike):
    """`out` is where TFDS makes its own."""
    super().__init__(data_dir=out, file_format="array_record")

  @abc.abstractmethod
  def listing(self) -> listing_lib.Listing:
    """The entries, and what is not among them."""

  def _info(self) -> tfds.core.DatasetInfo:
    return tfds.core.DatasetInfo(
      builder=self,
      description=self.description,
      features=FEATURES,
      homepage=self.homepage,
      citation=self.citation,
      license=self.licence,
    )

  def _split_generators(self, dl_manager):
    del dl_manager  # nothing is downloaded
    splits = self.listing().splits
    # One bar for all; TFDS has three for each split.
    bar = tqdm.tqdm(total=sum(map(len, splits.values())), unit="clip")
    return {k: self._generate_examples(v, bar) for k, v in splits.items()}

  def _generate_examples(
    self, entries: Iterable[entry_lib.Entry], bar: tqdm.tqdm
  ):
    for one in entries:
      bar.update()
      yield one.id, dataclasses.asdict(one)


class Catalogue(Clips):
  """A set on disk; a subclass reads the layout that the set is published in.

  Attributes:
    held_out: the share of training sources that are for validation, where no
      clip on disk is.
  """

  held_out = 0.02

  def __init__(
    self,
    root: str | os.PathLike,
    *,
    out: str | os.PathLike,
    others: Sequence[Mapping[str, list[entry_lib.Entry]]] = (),
  ):
    """A set that is to be read.

    Args:
      root: its folder.
      out: where TFDS makes its own.
      others: splits of other sets, whose held-out sources are kept out of what
        this one is trained on.
    """
    self._root = epath.Path(root)
    self._others = others
    self._listing: listing_lib.Listing | None = None
    super().__init__(out=out)

  @abc.abstractmethod
  def annotated(self, disk: disk_lib.Disk) -> Iterable[listing_lib.Annotated]:
    """What the files of annotations say; opens no media.

    Raises:
      InputError: naming the file, the line and the column that is wrong.
    """

  def listing(self) -> listing_lib.Listing:
    """The set as it is on disk, which is looked at once.

    Raises:
      InputError: none of its clips is there, or annotations are wrong.
    """
    if self._listing is None:
      disk = disk_lib.Disk(self._root)
      found = listing_lib.match(disk, self.annotated(disk), name=self.name)
      if not found.splits:
        raise errors.InputError(
          self._root,
          f"holds no clip of {self.name}; its annotations name "
          f"{len(found.missing)}",
        )
      splits, torn = sides.apart_from(
        sides.with_validation(found.splits, self.held_out), self._others
      )
      if not splits:
        raise errors.InputError(
          self._root, "every clip's source is held out by another set"
        )
      self._listing = dataclasses.replace(
        found, splits=splits, torn=sorted([*found.torn, *torn])
      )
    return self._listing


class Derived(Clips):
  """Clips that were chosen from another catalogue, or changed."""

  def __init__(self, listing: listing_lib.Listing, *, out: str | os.PathLike):
    """`listing` is what it holds; `out` is where TFDS makes its own."""
    self._listing = listing
    super().__init__(out=out)

  def listing(self) -> listing_lib.Listing:
    """As it was given."""
    return self._listing


def publish(
  make: Callable[[pathlib.Path], Clips], out: str | os.PathLike
) -> listing_lib.Listing:
  """Writes a catalogue; what is there of the same bytes stays untouched.

  It is made elsewhere first, and copied with what `read` looks for last: so an
  interrupted run leaves nothing that is taken for whole, on a cloud's folders
  too, which know no renaming. The next run writes all of it again.

  Args:
    make: the builder, which gets the folder that it is to write in.
    out: where it goes; holds nothing yet, or what a former run left.

  Raises:
    InputError: something else is there, nothing can be written, or what the
      builder raises.
  """
  target = epath.Path(out)
  try:
    there = (
      {path.name for path in target.iterdir()} if target.exists() else set()
    )
    if there and _FIRST not in there:
      raise errors.InputError(out, "is there already and is no catalogue")
    with tempfile.TemporaryDirectory() as scratch:
      builder = make(pathlib.Path(scratch))
      listing = builder.listing()
      with _quiet():
        builder.download_and_prepare()
      left = {
        name: list(getattr(listing, name))
        for name in ("missing", "unlisted", "torn", "filtered")
      }
      (builder.data_path / LEFT_OUT).write_text(
        json.dumps(left, indent=1, ensure_ascii=False) + "\n"
      )
      _copy(builder.data_path, target, there)
  except OSError as error:
    raise errors.InputError(
      out, f"cannot write: {error.strerror or error}"
    ) from None
  return listing


def _copy(made: epath.Path, target: epath.Path, there: set[str]) -> None:
  """All files, unless `target` has just these."""
  names = {path.name for path in made.iterdir()}
  if names == there and all(
    (target / name).read_bytes() == (made / name).read_bytes() for name in names
  ):
    return
  target.mkdir(parents=True, exist_ok=True)
  (target / _INFO).unlink(missing_ok=True)
  for name in there - names:
    (target / name).unlink()
  for name in sorted(names, key=lambda name: (name == _INFO, name != _FIRST)):
    (target / name).write_bytes((made / name).read_bytes())


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
  """TFDS reports what it does, and calls what protobuf means to drop."""
  tfds.disable_progress_bar()
  level = absl.logging.get_verbosity()
  absl.logging.set_verbosity(absl.logging.ERROR)
  try:
    with (
      contextlib.redirect_stdout(io.StringIO()),
      warnings.catch_warnings(action="ignore", category=DeprecationWarning),
    ):
      yield
  finally:
    absl.logging.set_verbosity(level)


def read(folder: str | os.PathLike) -> Mapping[str, list[entry_lib.Entry]]:
  """The entries of a catalogue by split, in the order of their ids.

  Raises:
    InputError: there is no catalogue, or not all of it.
  """
  builder = _builder(folder)
  try:
    with _quiet():
      sources = builder.as_data_source()
      return {
        split: sorted(_entries(sources[split]), key=lambda one: one.id)
        for split in entry_lib.SPLITS
        if split in sources
      }
  except Exception as error:  # TFDS raises what its parts raise
    raise errors.InputError(folder, f"cannot be read: {error}") from None


def about(folder: str | os.PathLike) -> Mapping[str, str]:
  """What a catalogue says of its set, for its card.

  Raises:
    InputError: there is no catalogue, or not all of it.
  """
  info = _builder(folder).info
  # TFDS makes one up for what has none.
  homepage = "" if _TFDS in (info.homepage or "") else info.homepage
  return {
    "name": info.name,
    "version": str(info.version),
    "description": (info.description or "").strip(),
    "homepage": homepage or "",
    "citation": (info.citation or "").strip(),
    "licence": (info.redistribution_info.license or "").strip(),
  }


def left_out(folder: str | os.PathLike) -> listing_lib.Listing:
  """What a catalogue says of clips and media that are not in it; no splits.

  Raises:
    InputError: it does not say it.
  """
  path = epath.Path(folder) / LEFT_OUT
  try:
    return listing_lib.Listing(splits={}, **json.loads(path.read_text()))
  except (OSError, ValueError, TypeError) as error:
    raise errors.InputError(path, f"cannot be read: {error}") from None


def _entries(source: Sequence) -> Iterator[entry_lib.Entry]:
  """Of the records themselves: TFDS's own decoding takes six times as long."""
  records = source.data_source
  for start in range(0, len(records), _AT_ONCE):
    stop = min(start + _AT_ONCE, len(records))
    yield from map(_entry, records.__getitems__(list(range(start, stop))))


def _entry(record: bytes) -> entry_lib.Entry:
  features = tf_example_generated_pb2.Example.FromString(record).features
  held = {k: v.bytes_list.value for k, v in features.feature.items()}

  def texts(name):
    return tuple(value.decode() for value in held[name])

  def numbers(name):
    return [struct.unpack("<d", value)[0] for value in held[name]]

  names = ("events/start", "events/end")
  columns = (*map(numbers, names), texts("events/label"))
  return entry_lib.Entry(
    **{name: texts(name)[0] for name in ("id", "source", "media", "licence")},
    **{name: numbers(name)[0] for name in ("start", "end")},
    **{name: texts(name) for name in ("captions", "labels")},
    events=tuple(
      entry_lib.Event(start=start, end=end, label=label)
      for start, end, label in zip(*columns, strict=True)
    ),
  )


def _builder(folder: str | os.PathLike) -> tfds.core.DatasetBuilder:
  path = epath.Path(folder)
  try:
    if not (path / _INFO).exists():
      raise FileNotFoundError(f"{_INFO} is not there")
    with _quiet():
      return tfds.builder_from_directory(path)
  except Exception as error:  # TFDS raises what its parts raise
    raise errors.InputError(
      folder, f"is no catalogue of `python -m data_prep.index`: {error}"
    ) from None
