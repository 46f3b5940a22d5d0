"""What lies in a data set's folder: media and tables, by their names.

Names, not places, say what a file is: people keep a set's media flat, in
folders of splits, or in folders of 1000. Cloud folders work as local ones do
(etils.epath); nothing is opened here.
"""

from __future__ import annotations

import fnmatch
import os
import pathlib
from collections.abc import Mapping

from etils import epath

from vta import errors

VIDEOS = frozenset((".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".webm"))
AUDIO = frozenset(
  (".aac", ".aif", ".aiff", ".flac", ".m4a", ".mp3", ".ogg", ".opus", ".wav")
)


class Disk:
  """The files below a folder, listed once, hidden ones left out.

  Attributes:
    root: the folder.
    media: paths of videos and sounds, relative to it and with "/".
  """

  def __init__(self, root: str | os.PathLike):
    """Lists the folder and those below it.

    Raises:
      InputError: there is no such folder, or it cannot be listed.
    """
    self.root = epath.Path(root)
    if not self.root.is_dir():
      raise errors.InputError(root, "is no folder")
    self._files = sorted(_below(self.root))
    self.media = [
      path
      for path in self._files
      if pathlib.PurePosixPath(path).suffix.lower() in VIDEOS | AUDIO
    ]
    self._known = frozenset(self.media)
    self._by_stem: dict[str, list[str]] = {}
    for path in sorted(self.media, key=_rank):
      stem = pathlib.PurePosixPath(path).stem
      self._by_stem.setdefault(stem, []).append(path)

  def matches(self, name: str) -> list[str]:
    """Media of a name without suffix, which may begin with folders.

    Videos come before sounds, and what lies higher before what lies deeper. A
    whole path, with its suffix, is that file and no other.
    """
    if name in self._known:
      return [name]
    found = self._by_stem.get(name.rpartition("/")[2], [])
    if "/" not in name:
      return found
    ending = f"/{name}"
    return [
      path
      for path in found
      if f"/{path}".removesuffix(pathlib.PurePosixPath(path).suffix).endswith(
        ending
      )
    ]

  def tables(self, pattern: str) -> list[epath.Path]:
    """Files whose name fits a pattern of the shell, the highest ones first."""
    found = [
      path
      for path in self._files
      if fnmatch.fnmatchcase(pathlib.PurePosixPath(path).name, pattern)
    ]
    return [
      self.root / path
      for path in sorted(found, key=lambda path: (path.count("/"), path))
    ]

  def optional(self, name: str) -> epath.Path | None:
    """The file of this name, if there is one; the highest if several."""
    found = self.tables(name)
    return found[0] if found else None

  def table(self, name: str) -> epath.Path:
    """The file of this name.

    Raises:
      InputError: there is none.
    """
    found = self.optional(name)
    if found is None:
      raise errors.InputError(
        self.root, f"{name} is not there, nor in a folder below"
      )
    return found

  def splits(self, names: Mapping[str, str]) -> list[tuple[str, epath.Path]]:
    """Split and file of each table that there is, of one or more.

    Args:
      names: file name -> the split that it lists.

    Raises:
      InputError: there is none of them.
    """
    found = [
      (split, path)
      for name, split in names.items()
      if (path := self.optional(name)) is not None
    ]
    if not found:
      raise errors.InputError(
        self.root, f"none of {', '.join(names)} is there or in a folder below"
      )
    return found


def _rank(path: str) -> tuple[bool, int, str]:
  suffix = pathlib.PurePosixPath(path).suffix.lower()
  return suffix not in VIDEOS, path.count("/"), path


def _below(root: epath.Path) -> list[str]:
  def fail(error: OSError):
    raise errors.InputError(
      error.filename or root, f"cannot be listed: {error.strerror or error}"
    )

  top = os.fspath(root)
  # People link folders of media beside a set's tables; the cloud has no links.
  here = "://" not in top
  walk = (
    os.walk(top, onerror=fail, followlinks=True)
    if here
    else root.walk(on_error=fail)
  )
  found, seen = [], {os.path.realpath(top)}
  for folder, folders, names in walk:
    folders[:] = [name for name in folders if not name.startswith(".")]
    if here:
      folders[:] = [name for name in folders if _is_new(folder, name, seen)]
    below = os.fspath(folder)[len(top) :].replace(os.sep, "/").strip("/")
    found += [
      f"{below}/{name}" if below else name
      for name in names
      if not name.startswith(".")
    ]
  return found


def _is_new(folder: str, name: str, seen: set[str]) -> bool:
  """Whether a folder was not come to on another way, such as a circle's."""
  path = os.path.realpath(os.path.join(folder, name))
  if path in seen:
    return False
  seen.add(path)
  return True
