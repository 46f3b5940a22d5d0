"""Writing files whole or not at all."""

from __future__ import annotations

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator

from vta import errors


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
  try:
    handle, name = tempfile.mkstemp(
      dir=target.parent, prefix=f".{target.stem}.", suffix=target.suffix
    )
    os.close(handle)
  except OSError as error:
    raise errors.InputError(target, f"cannot write: {error.strerror}") from None
  temporary = pathlib.Path(name)
  try:
    yield temporary
    # mkstemp makes private files; what a user asked for follows the umask.
    mask = os.umask(0)
    os.umask(mask)
    temporary.chmod(0o666 & ~mask)
    temporary.replace(target)
  except OSError as error:
    raise errors.InputError(target, f"cannot write: {error.strerror}") from None
  finally:
    temporary.unlink(missing_ok=True)
