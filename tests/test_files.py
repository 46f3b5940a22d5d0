"""Folders that appear whole or not at all."""

import pytest

from vta import errors, files


def test_a_folder_s_parents_are_made(tmp_path):
  target = tmp_path / "data" / "of" / "mine"
  with files.atomic_folder(target) as folder:
    (folder / "one").touch()
    assert not target.exists()
  assert [path.name for path in target.iterdir()] == ["one"]


def test_a_parent_that_is_a_file_is_named(tmp_path):
  (tmp_path / "data").touch()
  with (
    pytest.raises(errors.InputError, match="data/mine: cannot write"),
    files.atomic_folder(tmp_path / "data" / "mine"),
  ):
    pass
