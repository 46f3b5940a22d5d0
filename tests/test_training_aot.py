"""Compiling without devices: from shapes to a report, and what is refused."""

import json
import os
import pathlib
import subprocess
import sys

import jax
import pytest

from vta import cli, errors
from vta.training import aot, aot_report, configs, costs

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="module")
def made():
  """What compiled_elsewhere.py found."""
  script = pathlib.Path(__file__).parent / "compiled_elsewhere.py"
  done = subprocess.run(
    [sys.executable, script],
    capture_output=True,
    text=True,
    check=False,
    env={**os.environ, "PYTHONPATH": str(script.parents[1])},
  )
  assert done.returncode == 0, done.stderr[-2000:]
  return json.loads(done.stdout.splitlines()[-1])


def test_a_step_is_compiled_from_shapes_alone(made):
  row = made["rows"][0]
  assert row["fits"]
  assert row["chips"] == row["clips"] == 8
  assert row["latents"] == 16
  assert row["memory"]["temporaries"] > 0
  price = row["compute"] + row["links"]
  assert row["price"] == pytest.approx(8 * price * 100_000 / 3600)
  # Parameters are gathered for use, and both blocks' are counted.
  assert row["traffic"]["kinds"]["all-gather"]["bytes"] > 1e5
  assert row["traffic"]["loops"].count(2) == 2
  # A time by operations gives the MFU that they have: less what is recomputed,
  # and what so small a network does besides matrix products.
  flops = row["flops"]
  useful = flops["forward"] + flops["backward"]
  share = useful / (useful + flops["recomputed"])
  assert 0.6 * share < row["mfu"] < share
  assert row["mfu_with_links"] < row["mfu"]


def test_what_cannot_run_is_a_row(made):
  assert [row["fits"] for row in made["rows"]] == [True] + [False] * 3
  uneven, more, shared = (row["why"] for row in made["rows"][1:])
  assert "does not fit 8 devices" in uneven
  assert more == "8 do not fit"
  assert "9 clips cannot be shared by 8" in shared
  assert made["best"] == made["rows"][0]


def test_the_report_calls_estimates_so(made):
  assert len({row.count("|") for row in made["table"].splitlines()}) == 1
  for word in ("operations", "time", "MFU", "price"):
    assert f"estimated {word}" in made["text"]
  assert "GiB" in made["text"]
  assert "all-gather" in made["text"]


def config(*overrides):
  return configs.load(f"{ROOT}/configs/tri_ergon.py:l", overrides)


def codec():
  return configs.load(f"{ROOT}/configs/codec.py").codec.to_dict()


def candidate(**changes):
  return aot.Candidate(**({"batch": 1, "remat": "dots", "mesh": {}} | changes))


@pytest.mark.parametrize(
  ("overrides", "changes", "options", "said"),
  [
    ((), {}, {"topology": "h100:8"}, "none of v4, v5e, v5p, v6e"),
    ((), {}, {"division": 5}, "5 is none of data.divisions"),
    ((), {"remat": "some"}, {}, "'some' is none of none, full, dots"),
    (("denoiser.latents=32",), {}, {}, "is 32, the codec's 64"),
    (("preset=x",), {}, {}, "'x' is none of"),
    (("weighting=x",), {}, {}, "config: "),
    (("task=codec",), {}, {}, "only denoisers"),
    ((), {"mesh": {"pipe": 2}}, {}, "no axis is called pipe"),
  ],
)
def test_refusals_come_before_any_compilation(
  overrides, changes, options, said, monkeypatch
):
  monkeypatch.setattr(aot, "devices", lambda topology: jax.devices()[:1])
  options = {"topology": "v5p:1x1x1"} | options
  with pytest.raises(errors.InputError, match=said):
    aot.estimate(config(*overrides), codec(), candidate(**changes), **options)


def test_memory_is_too_little_or_enough(monkeypatch):
  """An error of XLA's, and a program larger than the chip."""
  monkeypatch.setattr(aot, "devices", lambda topology: jax.devices()[:1])

  def fail(*args, **kwargs):
    raise jax.errors.JaxRuntimeError(
      "RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. "
      "Used 20.31G of 15.75G hbm. Exceeded hbm capacity by 4.56G.\n\nTotal"
    )

  monkeypatch.setattr(aot, "lower", fail)
  row = aot.estimate(config(), codec(), candidate(), topology="v5e:1x1")
  assert not row.fits
  assert row.why == "would need 20.31G of 15.75G"

  class Program:
    def compile(self):
      return self

    def memory_analysis(self):
      return self

    argument_size_in_bytes = 12 * costs.GIB
    output_size_in_bytes = 11 * costs.GIB
    alias_size_in_bytes = 10 * costs.GIB
    temp_size_in_bytes = 3 * costs.GIB
    generated_code_size_in_bytes = 1

  monkeypatch.setattr(aot, "lower", lambda *args, **kwargs: Program())
  row = aot.estimate(config(), codec(), candidate(), topology="v5e:1x1")
  assert (row.fits, row.why) == (False, "too large")
  assert row.memory.all == 16 * costs.GIB + 1


def test_the_command_says_what_to_install(monkeypatch, capsys):
  monkeypatch.setattr(aot.importlib.util, "find_spec", lambda name: None)
  call = ["compile", "--config", f"{ROOT}/configs/tri_ergon.py:s"]
  assert cli.main([*call, "--topology", "v5p:4x4x4"]) == 2
  assert "pip install -r requirements-tpu.txt" in capsys.readouterr().err
  assert cli.main([*call, "--topology", "cpu"]) == 2
  assert "begins with none of" in capsys.readouterr().err


def test_several_candidates_are_a_search(monkeypatch, capsys):
  monkeypatch.setattr(aot, "devices", lambda topology: jax.devices()[:1])
  call = ["compile", "--config", f"{ROOT}/configs/tri_ergon.py:s"]
  call += ["--topology", "v5p:4x4x4", "--batch", "64", "128"]
  assert cli.main(call) == 2
  assert "--search: is missing, for 2" in capsys.readouterr().err


def test_a_time_that_makes_no_sense_is_not_told():
  """As libtpu gave of a program for v5e."""
  made = aot.Estimate(
    candidate=candidate(),
    chips=1,
    clips=1,
    latents=8,
    fits=True,
    why="XLA's time is unusable",
    traffic=aot.hlo.Traffic(kinds={}, loops=()),
    flops=costs.Flops(forward=1.0, backward=2.0, recomputed=0.0),
    links=1e-3,
  )
  told = aot_report.describe(made, chip=costs.CHIPS["v5e"])
  assert told.endswith("XLA's time is unusable")
  assert "MFU" not in told
  assert "| 1.0 | - | - | - |" in aot_report.table([made])
  assert aot.best([made]) == made
