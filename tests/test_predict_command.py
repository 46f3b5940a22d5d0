"""`predict`: its files, its table, what it refuses; and `generate` after it."""

import json

import media_samples as samples
import numpy as np
import pytest
import tiny_heads
import tiny_release

from vta import cli
from vta.signals import cues


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
  """Two shots of 0.8 s."""
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (2, 6, 8, 3), np.uint8)[[0] * 20 + [1] * 20]
  return samples.video(
    tmp_path_factory.mktemp("clip") / "a.mp4",
    images=images.repeat(8, 1).repeat(8, 2),
    stamps=range(0, 1600, 40),
  )


def run(*arguments):
  try:
    return cli.main([str(argument) for argument in arguments])
  except SystemExit as error:
    return error.code


def test_a_sheet_that_is_edited_and_generated_from(clip, tmp_path, capsys):
  objects = tmp_path / "objects.json"
  objects.write_text(
    json.dumps({"labels": ["bell"], "times": [0.5], "probability": [[0.25]]})
  )
  out = tmp_path / "cues.json"
  folder = tiny_heads.folder()
  assert run(
    "predict", clip, "--out", out, "--text", "a bell rings",
    "--predictor", folder, "--detect", objects,
  ) == 0  # fmt: skip
  printed = capsys.readouterr().out.splitlines()
  assert printed == [
    f"{clip}: 1.600 s",
    "  track 1     0.000 to  0.800 s  a bell rings",
    "  track 2     0.800 to  1.600 s  a bell rings",
    "  on_screen  all   shots, by FFmpeg's scdet",
    "  text       all   user",
    f"  events     all   heads of {folder}",
    f"  loudness   all   heads of {folder}",
    f"  objects    all   {objects}",
    f"  masks      all   none: {objects} gives no boxes",
    f"  pan        all   none: {objects} gives no boxes",
    f"wrote {out}, and beside it .png",
  ]
  assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
  # Edited as a person would: one thing out, one in, one changed.
  sheet = json.loads(out.read_text())
  del sheet["tracks"][0]["events"]
  sheet["tracks"][1]["gain_db"] = -3.0
  sheet["tracks"][1]["text"] = "a ball"
  out.write_text(json.dumps(sheet))
  assert run(
    "generate", clip, "--out", tmp_path / "o.mp4", "--cues", out,
    "--checkpoint", tiny_release.folder(), "--steps", "2",
  ) == 0  # fmt: skip
  kept = cues.load(tmp_path / "o.cues.json")
  assert kept.tracks[1].sources["text"] == "user"
  assert kept.tracks[1].text == "a ball"
  assert kept.tracks[0].events is None


def test_sources_are_no_part_of_the_sound(clip, tmp_path):
  waves = []
  for name, sources in (("a", {"text": "user"}), ("b", {})):
    track = cues.Track(text="a ball", seed=1, sources=sources or None)
    cues.save(
      tmp_path / f"{name}.json", cues.CueSheet(duration=1.6, tracks=(track,))
    )
    out = tmp_path / f"{name}.mp4"
    assert run(
      "generate", clip, "--out", out, "--cues", tmp_path / f"{name}.json",
      "--checkpoint", tiny_release.folder(), "--steps", "2",
    ) == 0  # fmt: skip
    waves.append(out.with_suffix(".wav").read_bytes())
  assert waves[0] == waves[1]


def test_tracks_of_different_sources_have_lines_of_their_own(
  clip, tmp_path, capsys, monkeypatch
):
  from vta.inference import finders

  def narrate(self, path, start, end):
    if start:
      return finders.Finding(value=None, said="it says nothing")
    return finders.Finding(value="a ball", said="a model")

  monkeypatch.setattr(finders.Finders, "narrate", narrate)
  out = tmp_path / "cues.json"
  assert run("predict", clip, "--out", out, "--one-track") == 0
  assert "track 1     0.000 to  1.600 s  a ball\n" in capsys.readouterr().out
  assert run("predict", clip, "--out", out) == 0
  printed = capsys.readouterr().out
  assert "\n  text       1     a model\n" in printed
  assert "\n  text       2     none: it says nothing\n" in printed


def refused(folder, capfd, *arguments):
  """Runs predict, checks the form of the refusal, returns its line."""
  before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
  code = run("predict", *arguments)
  printed = capfd.readouterr()
  assert code == 2, printed
  assert printed.err.startswith("error: ")
  assert printed.err.count("\n") == 1
  after = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
  assert after == before
  return printed.err


@pytest.mark.parametrize(
  ("options", "said"),
  [
    (("--predictor", "nowhere"), "nowhere: is not a vta release"),
    (("--lufs", "nowhere"), "nowhere: is not a vta release"),
    (("--events", "nowhere"), "nowhere: is not a vta release"),
    (("--describe", "nowhere"), "nowhere: expected config.json"),
    (("--detect", "nowhere.json"), "nowhere.json: cannot read"),
    (("--labels", "dog"), "--labels: is of no use without --detect"),
    (("--detect", "x", "--labels", "dog,,cat"), "--labels: is empty"),
    (("--text", " "), "--text: is empty"),
    (("--text", "a", "--describe", "b"), "not allowed with argument --text"),
    (("--tracks", "1"), "--tracks"),
  ],
)
def test_options(clip, tmp_path, capfd, options, said):
  out = tmp_path / "cues.json"
  assert said in refused(tmp_path, capfd, clip, "--out", out, *options)


@pytest.mark.parametrize(
  ("value", "where"),
  [
    ("{", "objects.json: line 1: not JSON"),
    ({"labels": ["a"], "times": [0.0]}, "objects.json: the field 'prob"),
    (
      {"labels": ["a"], "times": [5.0], "probability": [[1.0]]},
      "objects.json.times[0]: must lie between 0 and 1.6 s",
    ),
  ],
)
def test_objects_that_cannot_be_used(clip, tmp_path, capfd, value, where):
  path = tmp_path / "objects.json"
  path.write_text(value if isinstance(value, str) else json.dumps(value))
  line = refused(
    tmp_path, capfd, clip, "--out", tmp_path / "cues.json", "--detect", path
  )
  assert where in line


def test_labels_that_the_file_has_not(clip, tmp_path, capfd):
  path = tmp_path / "objects.json"
  path.write_text('{"labels": ["a"], "times": [0], "probability": [[1]]}')
  options = ("--detect", path, "--labels", "b", "--predictor")
  line = refused(
    tmp_path, capfd, clip, "--out", tmp_path / "cues.json", *options,
    tiny_heads.folder(),
  )  # fmt: skip
  assert f"{path}: holds no 'b'; it has a" in line


@pytest.mark.parametrize(
  "out", ["no/such/folder/cues.json", "cues.yaml", "cues", "."]
)
def test_outputs(clip, tmp_path, capfd, out):
  assert str(tmp_path / out) in refused(
    tmp_path, capfd, clip, "--out", tmp_path / out
  )


def test_what_is_read_is_not_overwritten(clip, tmp_path, capfd):
  path = tmp_path / "objects.json"
  path.write_text('{"labels": ["a"], "times": [0], "probability": [[1]]}')
  line = refused(tmp_path, capfd, clip, "--out", path, "--detect", path)
  assert f"{path}: would overwrite {path}" in line
  video = tmp_path / "video.json"
  video.write_bytes(clip.read_bytes())
  assert "would overwrite" in refused(tmp_path, capfd, video, "--out", video)


@pytest.mark.parametrize(
  ("stamps", "said"),
  [(None, "No such file"), (range(0, 400, 40), "lasts 0.40 s")],
)
def test_videos(tmp_path, capfd, stamps, said):
  path = tmp_path / "a.mp4"
  if stamps:
    samples.video(path, stamps=stamps)
  line = refused(tmp_path, capfd, path, "--out", tmp_path / "cues.json")
  assert str(path) in line
  assert said in line
