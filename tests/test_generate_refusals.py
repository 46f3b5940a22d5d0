"""What `generate` refuses: in one line, with code 2, and nothing written."""

import json

import media_samples
import numpy as np
import pytest
import tiny_release

from vta import cli
from vta.media import write

RATE = 44_100


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
  """Two seconds of video."""
  path = tmp_path_factory.mktemp("clip") / "clip.mp4"
  write.write_video(path, np.zeros((50, 48, 64, 3), np.uint8), rate=25)
  return path


def attempt(capfd, folder, video, *options, out="out.mp4"):
  """Runs generate, checks the form of the refusal, returns its line."""
  before = sorted(folder.rglob("*"))
  release = str(tiny_release.folder())
  arguments = ["generate", str(video), "--out", str(folder / out)]
  if "--checkpoint" not in options:
    arguments += ["--checkpoint", release]
  try:
    code = cli.main([*arguments, *map(str, options)])
  except SystemExit as error:
    code = error.code
  printed = capfd.readouterr()
  assert code == 2, printed
  lines = printed.err.strip().splitlines()
  assert len(lines) == 1, printed.err
  assert lines[0].startswith("error: ")
  assert sorted(folder.rglob("*")) == before
  return lines[0]


def text_as_video(folder):
  path = folder / "renamed.mp4"
  path.write_text("this is not a video, whatever it is called\n" * 40)
  return path


def empty(folder):
  path = folder / "empty.mp4"
  path.touch()
  return path


def truncated(folder):
  whole = folder / "whole.mp4"
  write.write_video(whole, np.zeros((50, 48, 64, 3), np.uint8), rate=25)
  path = folder / "truncated.mp4"
  path.write_bytes(whole.read_bytes()[:400])
  return path


def audio_only(folder):
  path = folder / "sound.wav"
  write.write_wave(path, np.zeros((RATE * 2, 2), np.float32))
  return path


def too_short(folder):
  path = folder / "short.mp4"
  write.write_video(path, np.zeros((5, 48, 64, 3), np.uint8), rate=25)
  return path


def too_long(folder):
  path = folder / "long.mp4"
  write.write_video(path, np.zeros((65, 16, 16, 3), np.uint8), rate=1)
  return path


def one_frame(folder):
  return media_samples.video(folder / "one.mp4", stamps=(0,))


@pytest.mark.parametrize(
  ("make", "said"),
  [
    (lambda folder: folder / "nowhere.mp4", "nowhere.mp4"),
    (lambda folder: folder, ""),
    (empty, "empty.mp4"),
    (text_as_video, "renamed.mp4"),
    (truncated, "truncated.mp4"),
    (audio_only, "sound.wav"),
    (too_short, "0.20 s"),
    (too_long, "65.00 s"),
    (one_frame, "one.mp4"),
  ],
)
def test_videos(tmp_path, capfd, make, said):
  assert said in attempt(capfd, tmp_path, make(tmp_path))


def sheet(**track):
  return {"version": 1, "duration": 2.0, "tracks": [track]}


NAN = float("nan")
SHEETS = {
  "not JSON": ("{", "cues.json"),
  "not an object": ("[1]", "cues.json"),
  "wrong version": ({"version": 2, "duration": 2.0, "tracks": []}, "version"),
  "no version": ({"duration": 2.0, "tracks": [{}]}, "version"),
  "no tracks": ({"version": 1, "duration": 2.0, "tracks": []}, "tracks"),
  "unknown field": (sheet(loudnes=[]), "'loudnes'"),
  "unknown top field": ({**sheet(), "fps": 25}, "fps"),
  "text is a number": (sheet(text=3), "tracks[0].text"),
  "negative time": (sheet(events=[[-1.0, 0.5]]), "tracks[0].events[0]"),
  "ends before start": (sheet(events=[[1.0, 0.5]]), "tracks[0].events[0]"),
  "overlapping": (
    sheet(events=[[0.0, 1.0], [0.5, 1.5]]),
    "tracks[0].events[1]",
  ),
  "past the end": (sheet(events=[[1.0, 9.0]]), "tracks[0].events[0]"),
  "event of three": (sheet(events=[[0.0, 0.5, 1.0]]), "tracks[0].events[0]"),
  "NaN loudness": (
    sheet(loudness={"times": [0.5], "lufs": [[NAN, -20.0]]}),
    "cues.json",
  ),
  "loudness of one channel": (
    sheet(loudness={"times": [0.5], "lufs": [[-20.0]]}),
    "tracks[0].loudness.lufs[0]",
  ),
  "too loud": (
    sheet(loudness={"times": [0.5], "lufs": [[5.0, -20.0]]}),
    "tracks[0].loudness.lufs",
  ),
  "loudness times unsorted": (
    sheet(loudness={"times": [1.0, 0.5], "lufs": [[-20, -20], [-20, -20]]}),
    "tracks[0].loudness.times",
  ),
  "mask off the frame": (
    sheet(masks=[{"box": {"times": [0.0], "corners": [[0.1, 0.1, 1.5, 0.9]]}}]),
    "tracks[0].masks[0]",
  ),
  "mask inside out": (
    sheet(masks=[{"box": {"times": [0.0], "corners": [[0.9, 0.1, 0.5, 0.9]]}}]),
    "tracks[0].masks[0]",
  ),
  "probability above 1": (
    sheet(objects={"labels": ["ball"], "times": [0.0], "probability": [[1.5]]}),
    "tracks[0].objects.probability",
  ),
  "pan beyond the side": (sheet(pan=1.5), "tracks[0].pan"),
  "seed below 0": (sheet(seed=-1), "tracks[0].seed"),
  "on_screen is a word": (sheet(on_screen="yes"), "tracks[0].on_screen"),
  "gain is true": (sheet(gain_db=True), "tracks[0].gain_db"),
  "another clip's": ({**sheet(), "duration": 3.0}, "duration"),
  "reference missing": (sheet(reference="nowhere.wav"), "nowhere.wav"),
}


@pytest.mark.parametrize("name", SHEETS)
def test_cue_sheets(tmp_path, clip, capfd, name):
  document, said = SHEETS[name]
  path = tmp_path / "cues.json"
  text = document if isinstance(document, str) else json.dumps(document)
  path.write_text(text)
  line = attempt(capfd, tmp_path, clip, "--cues", path)
  assert said in line


def test_a_missing_cue_sheet(tmp_path, clip, capfd):
  line = attempt(capfd, tmp_path, clip, "--cues", tmp_path / "none.json")
  assert "none.json" in line


@pytest.mark.parametrize(
  ("options", "said"),
  [
    (("--reference", "nowhere.wav"), "nowhere.wav"),
    (("--steps", "1"), "--steps"),
    (("--steps", "many"), "--steps"),
    (("--seed", "-1"), "--seed"),
    (("--guidance", "nan"), "--guidance"),
    (("--guidance", "2", "3"), "--guidance"),
    (("--solver", "magic"), "--solver"),
  ],
)
def test_options(tmp_path, clip, capfd, options, said):
  assert said in attempt(capfd, tmp_path, clip, *options)


@pytest.mark.parametrize(
  "out", ["no/such/folder/out.mp4", "out.avi", "out", "."]
)
def test_outputs(tmp_path, clip, capfd, out):
  assert str(tmp_path / out) in attempt(capfd, tmp_path, clip, out=out)


def test_the_input_is_not_overwritten(clip, tmp_path, capfd):
  held = clip.read_bytes()
  line = attempt(capfd, clip.parent, clip, out=clip.name)
  assert "overwrite" in line
  assert clip.read_bytes() == held


@pytest.mark.parametrize(
  ("reference", "options"),
  [("out.wav", ()), ("out.stems/track-2.wav", ("--stems",))],
)
@pytest.mark.parametrize("given", ["flag", "sheet"])
def test_a_reference_is_not_overwritten(
  clip, tmp_path, capfd, reference, options, given
):
  path = tmp_path / reference
  path.parent.mkdir(exist_ok=True)
  write.write_wave(path, np.ones((RATE, 2), np.float32))
  held = path.read_bytes()
  document = sheet()
  document["tracks"] *= 2
  if given == "sheet":
    document["tracks"][0] = {"reference": str(path)}
  else:
    options += ("--reference", path)
  (tmp_path / "cues.json").write_text(json.dumps(document))
  options += ("--cues", tmp_path / "cues.json")
  line = attempt(capfd, tmp_path, clip, *options)
  assert f"{path}: would overwrite the reference" in line
  assert path.read_bytes() == held


def copied(folder, change):
  release = folder / "release"
  release.mkdir()
  for file in tiny_release.folder().iterdir():
    (release / file.name).write_bytes(file.read_bytes())
  change(release)
  return release


def other_preset(release):
  path = release / "config.json"
  config = json.loads(path.read_text())
  config["preset"] = "predictor"
  path.write_text(json.dumps(config))


def anothers_config(release):
  path = release / "config.json"
  config = json.loads(path.read_text())
  config["preset"] = "stable_audio"
  path.write_text(json.dumps(config))


def other_shape(release):
  path = release / "config.json"
  config = json.loads(path.read_text())
  config["denoiser"]["width"] = 32
  path.write_text(json.dumps(config))


@pytest.mark.parametrize(
  ("change", "said"),
  [
    (lambda r: (r / "config.json").unlink(), "config.json"),
    (lambda r: (r / "config.json").write_text("{"), "config.json"),
    (
      lambda r: (r / "config.json").write_text('{"model_type": "bert"}'),
      "format",
    ),
    (lambda r: (r / "denoiser.safetensors").unlink(), "denoiser.safetensors"),
    (
      lambda r: (r / "codec.safetensors").write_bytes(b"\0" * 64),
      "codec.safetensors",
    ),
    (lambda r: (r / "vocabulary.safetensors").unlink(), "vocabulary"),
    (other_shape, "denoiser.safetensors"),
    (anothers_config, "config.json: describes no model"),
    (
      other_preset,
      "preset: only 'foley', 'composed', 'tri_ergon', 'stable_audio'",
    ),
  ],
)
def test_checkpoints(tmp_path, clip, capfd, change, said):
  release = copied(tmp_path, change)
  assert said in attempt(capfd, tmp_path, clip, "--checkpoint", release)


def test_a_missing_checkpoint(tmp_path, clip, capfd):
  line = attempt(capfd, tmp_path, clip, "--checkpoint", tmp_path / "nowhere")
  assert "nowhere" in line
