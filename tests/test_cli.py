"""The command line: help without waiting, mistakes in one line, exit codes."""

import errno
import importlib
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from vta import cli, errors
from vta.data import records
from vta.media import read, write
from vta.signals import cues

ROOT = pathlib.Path(__file__).parents[1]


def run(*arguments: str) -> int:
  """The exit code of a command in this process."""
  try:
    return cli.main(arguments)
  except SystemExit as error:
    return error.code


@pytest.fixture(scope="module")
def wave() -> np.ndarray:
  """Two seconds, right silent, a tone on the left from 0.5 to 1 s."""
  out = np.zeros((88_200, 2), np.float32)
  times = np.arange(22_050) / 44_100
  out[22_050:44_100, 0] = 0.25 * np.sin(2 * np.pi * 997 * times)
  return out


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_has_help_with_examples(command, capsys):
  assert run(command, "--help") == 0
  text = capsys.readouterr().out
  assert f"  python -m vta {command} " in text.partition("examples:\n")[2]
  assert len(max(text.splitlines(), key=len)) <= 80


def test_every_command_module_is_in_the_table():
  folder = ROOT / "vta" / "commands"
  modules = {
    path.stem.rstrip("_")  # `import` cannot be a module's name
    for path in folder.glob("*.py")
    if hasattr(importlib.import_module(f"vta.commands.{path.stem}"), "run")
  }
  assert modules == set(cli.COMMANDS)


@pytest.mark.parametrize("command", [None, *cli.COMMANDS])
def test_help_imports_nothing_slow(command):
  # Start-up time is imports; counting them does not depend on the machine.
  arguments = [command, "--help"] if command else ["--help"]
  code = (
    "import sys; from vta import cli\n"
    f"try: cli.main({arguments!r})\n"
    "except SystemExit: pass\n"
    "slow = {'jax', 'numpy', 'scipy', 'av', 'matplotlib', 'torch'}\n"
    "sys.exit(' '.join(slow & set(sys.modules)) or 0)"
  )
  done = subprocess.run(
    [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
  )
  assert done.returncode == 0, done.stderr


def test_module_runs_and_lists_the_commands():
  done = subprocess.run(
    [sys.executable, "-m", "vta", "--help"],
    cwd=ROOT,
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0
  assert all(line in done.stdout for line in cli.COMMANDS.values())


@pytest.mark.parametrize(
  ("arguments", "said"),
  [
    ([], "COMMAND"),
    (["compose"], "invalid choice: 'compose'"),
    (["measure"], "FILE"),
    (["measure", "a.wav", "--colour"], "--colour"),
    (["yard", "--clips", "1"], "--out --show is required"),
    (["yard", "--out", "x"], "--clips"),
    (["yard", "--out", "x", "--clips", "0"], "0 is not 1 or more"),
    (["yard", "--out", "x", "--clips", "2.5"], "'2.5' is not a whole number"),
    (["yard", "--out", "x", "--clips", "1", "--duration", "nan"], "nan is not"),
    (["yard", "--out", "x", "--clips", "1", "--duration", "61"], "1.0 to 60.0"),
    (["yard", "--out", "x", "--clips", "1", "--split", "dev"], "'dev'"),
  ],
)
def test_bad_usage_is_one_line_and_code_2(arguments, said, capsys):
  assert run(*arguments) == 2
  out, err = capsys.readouterr()
  assert out == ""
  assert err.startswith("error: ")
  assert err.count("\n") == 1
  assert said in err


@pytest.mark.parametrize(
  ("raised", "code", "said"),
  [
    (errors.InputError("a.json", "b\nc"), 2, "error: a.json: b c\n"),
    (KeyboardInterrupt(), 130, ""),
    (
      OSError(errno.ENOSPC, "No space left on device", "/x/y"),
      2,
      "error: /x/y: No space left on device\n",
    ),
    (
      OSError(errno.ENOSPC, "No space left on device"),
      2,
      "error: No space left on device\n",
    ),
  ],
)
def test_failures_of_a_command(raised, code, said, monkeypatch, capsys):
  module = importlib.import_module("vta.commands.measure")

  def fail(args):
    raise raised

  monkeypatch.setattr(module, "run", fail)
  assert run("measure", "a.wav") == code
  assert capsys.readouterr().err == said


@pytest.mark.parametrize("bug", [ValueError("x"), OSError(errno.EIO, "x")])
def test_our_own_mistakes_keep_their_traceback(bug, monkeypatch):
  module = importlib.import_module("vta.commands.measure")

  def fail(args):
    raise bug

  monkeypatch.setattr(module, "run", fail)
  with pytest.raises(type(bug)):
    cli.main(["measure", "a.wav"])


def test_a_closed_pipe_ends_quietly():
  code = (
    "import sys\n"
    "from vta import cli\n"
    "from vta.commands import measure\n"
    "def run(args):\n"
    "  while True: print('line')\n"
    "measure.run = run\n"
    "sys.exit(cli.main(['measure', 'a.wav']))"
  )
  with subprocess.Popen(
    [sys.executable, "-c", code],
    cwd=ROOT,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
  ) as process:
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 141


def test_measure_an_audio_file(tmp_path, wave, capsys):
  write.write_wave(tmp_path / "a.wav", wave)
  assert (
    run(
      "measure",
      str(tmp_path / "a.wav"),
      "--out",
      str(tmp_path / "a.png"),
      "--json",
      str(tmp_path / "a.json"),
      "--cues",
      str(tmp_path / "cues.json"),
    )
    == 0
  )
  said = capsys.readouterr().out
  assert "has no video track" in said
  assert "right     -70.0 / -70.0 / -70.0 LUFS" in said
  assert "events    1, together 0.500 s" in said
  assert "onsets    0.500\n" in said
  assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
  numbers = json.loads((tmp_path / "a.json").read_text())
  assert numbers["duration"] == 2.0
  # A full-scale 997 Hz sine in one channel is -3.01 LUFS; ours is 12.04 lower.
  assert max(left for left, _ in numbers["loudness"]["lufs"]) == pytest.approx(
    -15.05, abs=0.1
  )
  sheet = cues.load(tmp_path / "cues.json")
  np.testing.assert_allclose(
    sheet.tracks[0].events.intervals, [[0.5, 1.0]], atol=0.01
  )
  assert sheet.tracks[0].loudness.lufs.tolist() == numbers["loudness"]["lufs"]


def test_measure_says_what_cannot_be_read(tmp_path, capsys):
  path = tmp_path / "a.wav"
  path.write_bytes(b"no sound" * 100)
  assert run("measure", str(path)) == 2
  assert capsys.readouterr().err.startswith(f"error: {path}: ")


def test_yard_writes_resumes_and_refuses(tmp_path, capsys):
  folder = tmp_path / "yard"
  call = ["yard", "--out", str(folder), "--duration", "1", "--jobs", "1"]
  call += ["--no-frames", "--shard-size", "2", "--seed", "5", "--clips"]
  assert run(*call, "3") == 0
  assert "2 of 2 shards" in capsys.readouterr().out
  whole = records.Shards([folder])
  ids = [record.meta["id"] for record in whole]
  assert ids == [f"yard-train-5-{i}" for i in range(3)]

  first, second = sorted(folder.glob("*.array_record"))
  kept = first.stat().st_mtime_ns
  before = second.read_bytes()
  second.unlink()
  assert run(*call, "3") == 0
  assert "1 of 2 shards" in capsys.readouterr().out
  assert first.stat().st_mtime_ns == kept
  assert second.read_bytes() == before

  assert run(*call, "4") == 2
  assert "clips 3, not 4" in capsys.readouterr().err
  (folder / "manifest.json").write_text("[]")
  assert run(*call, "3") == 2
  assert "manifest" in capsys.readouterr().err
  (folder / "manifest.json").unlink()
  assert run(*call, "3") == 2
  assert "shards but no manifest" in capsys.readouterr().err


def test_yard_shows_clips_with_their_truth(tmp_path):
  assert (
    run("yard", "--show", str(tmp_path), "--clips", "1", "--duration", "1") == 0
  )
  video = tmp_path / "train-0-0.mp4"
  assert read.probe(video).duration == pytest.approx(1.0)
  assert len(read.read_audio(video)) == 44_100
  assert cues.load(tmp_path / "train-0-0.json").duration == 1.0
  assert (tmp_path / "train-0-0.png").exists()


def test_train_names_the_config_that_is_wrong(tmp_path, capsys):
  config = tmp_path / "config.py"
  config.write_text(
    "import ml_collections\n"
    "def get_config(arg):\n"
    "  return ml_collections.ConfigDict("
    "{'task': 'poem', 'optimizer': {'rate': 1.0}}).lock()\n"
  )
  call = ["train", "--workdir", str(tmp_path / "w"), "--config"]
  assert run(*call, str(config)) == 2
  assert "'poem' is not codec, denoiser, predictor" in capsys.readouterr().err
  assert run(*call, str(tmp_path / "none.py")) == 2
  assert "no such config file" in capsys.readouterr().err
  for override in ("tusk=1", "optimizer.rote=2", "optimizer.rate=fast"):
    assert run(*call, str(config), "--set", override) == 2
    assert override.partition("=")[0] in capsys.readouterr().err
