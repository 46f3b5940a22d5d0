"""The one error that a user can cause, and the one that the CLI prints."""

from __future__ import annotations

import os


class InputError(Exception):
  """Something the user handed in cannot be used.

  The command line prints it as one line and exits with code 2.

  Args:
    where: the file and, within it, the field: "cues.json: tracks[0].events".
    message: what is wrong with it and, where it helps, what would be right.
  """

  def __init__(self, where: str | os.PathLike, message: str):
    self.where = os.fspath(where)
    self.message = message
    super().__init__(f"{self.where}: {message}")
