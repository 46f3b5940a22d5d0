"""Release folders: never half of one, and what is not in one is said."""

import numpy as np
import pytest

from vta import errors
from vta.interop import release

ONE = {"layer": {"kernel": np.ones((2, 3), np.float32)}}


def test_a_rewrite_that_is_interrupted_leaves_no_release(tmp_path):
  release.save(tmp_path, config={"preset": "old"}, parts={"a": ONE}, card="")

  def power_cut():
    yield "layer/kernel", np.zeros((2, 3), np.float32)
    raise RuntimeError("power cut")

  parts = {"a": [("layer/kernel", np.zeros((2, 3), np.float32))]}
  with pytest.raises(RuntimeError):
    release.write(
      tmp_path,
      config={"preset": "new"},
      parts={**parts, "b": power_cut()},
      card="",
    )
  with pytest.raises(errors.InputError, match=r"has no config\.json"):
    release.load(tmp_path)


def test_parts_that_are_absent_or_of_another_size_are_named(tmp_path):
  release.save(tmp_path, config={}, parts={"heads": ONE}, card="")
  made = release.load(tmp_path)
  np.testing.assert_array_equal(
    made.require("heads")["layer"]["kernel"], ONE["layer"]["kernel"]
  )
  for ask in (made.require, lambda name: made.part(name, ONE)):
    with pytest.raises(errors.InputError, match=r"no codec \(it has heads\)"):
      ask("codec")
  wider = {"layer": {"kernel": np.ones((2, 4), np.float32)}}
  with pytest.raises(errors.InputError, match="1 arrays do not fit the model"):
    made.part("heads", wider)
