"""Writing files whole or not at all."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

from vta import errors


def check_writable(path: str | os.PathLike) -> None:
  """Raises InputError unless a file can be made where `path` is to be.

  Asked before long work, whose result would otherwise be lost.
  """
  temporary = _temporary(pathlib.Path(path))
  temporary.unlink()


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[pathlib.Path]:
  """Yields a temporary name beside `path`; renames it to `path` on success.

  A reader never sees half a file, and a failure leaves what was there before.
  The temporary name keeps the suffix, since media writers choose the container
  by it.

  Raises:
    InputError: when the folder does not exist or nothing can be written there.
  """
  target = pathlib.Path(path)
  with scratch_path(target) as temporary:
    yield temporary
    publish(temporary, target)


@contextlib.contextmanager
def scratch_path(path: str | os.PathLike) -> Iterator[pathlib.Path]:
  """Yields a temporary name beside `path`, for the caller to rename.

  What was not renamed by then is removed.

  Raises:
    InputError: as `atomic_path`.
  """
  target = pathlib.Path(path)
  temporary = _temporary(target)
  try:
    yield temporary
  except OSError as error:
    raise errors.InputError(target, f"cannot write: {error.strerror}") from None
  finally:
    temporary.unlink(missing_ok=True)


def publish(temporary: pathlib.Path, target: pathlib.Path) -> None:
  """Gives a finished temporary file or folder its name."""
  # What tempfile makes is private; what a user asked for follows the umask.
  mask = os.umask(0)
  os.umask(mask)
  temporary.chmod((0o777 if temporary.is_dir() else 0o666) & ~mask)
  temporary.replace(target)


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike) -> Iterator[pathlib.Path]:
  """Yields a temporary folder beside `path`; renames it to `path` on success.

  The folder that it is to lie in is made if missing.

  Raises:
    InputError: when there is something at `path`, or nothing can be made there.
  """
  target = pathlib.Path(path)
  if target.exists():
    raise errors.InputError(target, "is there already")
  try:
    target.parent.mkdir(parents=True, exist_ok=True)
    name = tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.")
  except OSError as error:
    raise errors.InputError(target, f"cannot write: {error.strerror}") from None
  temporary = pathlib.Path(name)
  try:
    yield temporary
    publish(temporary, target)
  except OSError as error:
    raise errors.InputError(target, f"cannot write: {error.strerror}") from None
  finally:
    shutil.rmtree(temporary, ignore_errors=True)


def _temporary(target: pathlib.Path) -> pathlib.Path:
  """An empty file beside `target`, with its suffix."""
  try:
    handle, name = tempfile.mkstemp(
      dir=target.parent, prefix=f".{target.stem}.", suffix=target.suffix
    )
  except OSError as error:
    raise errors.InputError(target, f"cannot write: {error.strerror}") from None
  os.close(handle)
  return pathlib.Path(name)
