"""VGGSound-Continuous and VGGSound-Caption: what stays, and what is kept."""

import json

import numpy as np
import pytest
import soundfile
import tiny_annotators
import torch

from data_prep import captioned, clap, continuous, index, kept
from data_prep.sets import catalogue
from data_prep.sets import entry as entry_lib
from vta import errors
from vta.data import continuous as rule

RATE = 44_100
LABELS = ("raining", "dog barking", "hail", "airplane")
ROWS = [
  ("aaaaaaaaaa1", "raining", "train"),
  ("bbbbbbbbbb2", "dog barking", "train"),
  ("cccccccccc3", "hail", "train"),
  ("dddddddddd4", "airplane", "train"),
  ("eeeeeeeeee5", "raining", "test"),
  ("ffffffffff6", "airplane", "train"),
]


def tone(seed, seconds=3.5):
  draw = np.random.default_rng(seed)
  times = np.arange(round(seconds * RATE)) / RATE
  waves = [
    0.2 * np.sin(2 * np.pi * draw.uniform(80, 3800) * times) for _ in range(3)
  ]
  noise = draw.normal(size=len(times)) * draw.uniform(0, 0.2)
  return np.stack([sum(waves) + noise] * 2, axis=1).astype(np.float32)


@pytest.fixture(scope="module")
def vggsound(tmp_path_factory):
  """A folder of it with sounds, one of them no sound, and its catalogue."""
  root = tmp_path_factory.mktemp("vggsound")
  rows = [f"{video},3,{label},{split}" for video, label, split in ROWS]
  (root / "vggsound.csv").write_text("\n".join(rows) + "\n")
  for i, (video, _, _) in enumerate(ROWS):
    soundfile.write(root / f"{video}_000003.wav", tone(i), RATE)
  (root / "dddddddddd4_000003.wav").write_bytes(b"no sound")
  out = root / "index"
  index.index(index.SETS["vggsound"], str(root), str(out))
  return root, out


@pytest.fixture(scope="module")
def model(tmp_path_factory):
  return tiny_annotators.clap(tmp_path_factory.mktemp("clap"))


def theirs(model, waves, texts):
  """Cosines by transformers' class."""
  _, net, processor = model
  heard = processor.feature_extractor(
    [continuous_mono(w) for w in waves], sampling_rate=8000, return_tensors="pt"
  )
  read = processor.tokenizer(texts, padding=True, return_tensors="pt")
  with torch.no_grad():
    return net(**heard, **read).logits_per_audio.numpy() / np.exp(
      net.logit_scale_a.item()
    )


def continuous_mono(wave):
  import soxr

  return soxr.resample(wave.mean(axis=1), RATE, 8000)[:8000]


def test_cosines_are_transformers_s(model):
  waves = [tone(i, 1.0) for i in range(3)]
  texts = ["rain", "a dog barks, and barks", "x"]
  ours = clap.Clap.load(model[0])
  made = ours.hear(waves) @ ours.read(texts).T
  expected = theirs(model, waves, texts)
  assert made.std() > 0.01
  np.testing.assert_allclose(made, expected, atol=2e-5)
  # Batches do not matter.
  many = ours.read([texts[i % 3] for i in range(70)])
  np.testing.assert_allclose(many[69], ours.read(texts)[0], atol=1e-6)


def test_windows_are_a_second_apart_and_whole():
  wave = np.arange(2 * RATE * 4, dtype=np.float32).reshape(-1, 2)
  parts = continuous.windows(wave)
  assert [len(part) for part in parts] == [2 * RATE] * 3
  np.testing.assert_array_equal(parts[1], wave[RATE : 3 * RATE])
  (short,) = continuous.windows(wave[:1000])
  assert len(short) == 1000


def test_a_label_is_heard_where_few_are_more_alike():
  draw = np.random.default_rng(0)
  labels = draw.normal(size=(41, 64))
  labels /= np.linalg.norm(labels, axis=1, keepdims=True)
  # Its own label; one other before it of 40; two others before it.
  sounds = np.stack(
    [labels[7], labels[7] + 1.5 * labels[3], labels[7] + 2 * labels[3:5].sum(0)]
  )
  made = continuous.heard(sounds, labels, 7)
  np.testing.assert_array_equal(made, [1.0, 1.0, 0.0])
  assert rule.grounded(made)
  assert not rule.grounded(made[1:])


def test_the_clips_that_stay_are_those_that_transformers_hears(
  vggsound, model, tmp_path, capsys
):
  root, catalogue_folder = vggsound
  splits = catalogue.read(catalogue_folder)
  prompts = [f"This is a sound of {label}." for label in sorted(LABELS)]
  expected = {}
  for i, (video, label, _) in enumerate(ROWS):
    if label == "dog barking" or video == "dddddddddd4":
      continue
    # Of 3.5 s two windows are whole; of each the model hears a second.
    wave = tone(i)
    waves = [wave[:RATE], wave[RATE : 2 * RATE]]
    alike = theirs(model, waves, prompts)
    own = sorted(LABELS).index(label)
    expected[f"{video}_000003"] = bool((alike.argmax(axis=1) == own).all())
  assert len(set(expected.values())) == 2, expected
  out = tmp_path / "out"
  given = {
    "--index": catalogue_folder,
    "--source": root,
    "--clap": model[0],
    "--out": out,
  }
  arguments = [str(x) for pair in given.items() for x in pair]
  assert continuous.main(arguments) == 0
  told = capsys.readouterr()
  made = catalogue.read(out)
  stay = {one.id for own in made.values() for one in own}
  assert stay == {name for name, kept_ in expected.items() if kept_}
  for split, own in made.items():
    assert set(own) <= set(splits[split])
  left = catalogue.left_out(out).filtered
  assert set(left) == expected.keys() - stay | {"dddddddddd4_000003"}
  assert f"{len(left)} with a continuous label were left out" in told.out
  assert catalogue.about(out)["name"] == "vggsound_continuous"
  # All is kept: another run opens no sound.
  with pytest.MonkeyPatch.context() as patched:
    patched.setattr(continuous, "sound_of", None)
    assert continuous.main(arguments) == 0
  assert catalogue.read(out) == made
  scores = out.with_name("out.scores.jsonl")
  assert len(scores.read_text().splitlines()) == 1 + 5


def test_captions_that_the_sound_bears_out_get_their_label(
  vggsound, model, tmp_path, capsys
):
  root, catalogue_folder = vggsound
  texts = [f"caption {i} of it" for i in range(6)]
  table = tmp_path / "captions.csv"
  rows = [f"aaaaaaaaaa1_000003,{text}" for text in texts]
  rows += ["bbbbbbbbbb2_000003,a dog", "dddddddddd4_000003,x", "other,x"]
  table.write_text("\n".join(["id,caption", *rows]) + "\n")
  alike = theirs(model, [tone(0)[:RATE]], texts)[0]
  threshold = float(np.median(alike))
  expected = tuple(
    f"{text}; raining"
    for text, own in zip(texts, alike, strict=True)
    if own > threshold
  )
  assert len(expected) == 3
  out = tmp_path / "out"
  given = {
    "--index": catalogue_folder,
    "--source": root,
    "--clap": model[0],
    "--captions": table,
    "--threshold": threshold,
    "--out": out,
  }
  arguments = [str(x) for pair in given.items() for x in pair]
  assert captioned.main(arguments) == 0
  capsys.readouterr()
  by_id = {one.id: one for own in catalogue.read(out).values() for one in own}
  one = by_id["aaaaaaaaaa1_000003"]
  assert one.captions == expected
  assert one.labels == ("raining",)
  left = catalogue.left_out(out).filtered
  assert {"dddddddddd4_000003", "cccccccccc3_000003"} <= set(left)
  # Other captions are other values; a threshold that nothing passes is said.
  given |= {"--threshold": 0.999, "--out": tmp_path / "none"}
  arguments = [str(x) for pair in given.items() for x in pair]
  assert captioned.main(arguments) == 2
  assert "no caption of 3 clips is above 0.999" in capsys.readouterr().err
  assert not (tmp_path / "none").exists()
  table.write_text("id,caption\nother,x\n")
  assert captioned.main(arguments) == 2
  assert "names no clip of the catalogue" in capsys.readouterr().err


def test_a_model_that_sees_writes_the_captions(vggsound, tmp_path, monkeypatch):
  root, catalogue_folder = vggsound
  splits = catalogue.read(catalogue_folder)
  asked = []

  class Describer:
    def __init__(self, folder):
      asked.append(folder)

    def describe(self, frames):
      assert frames.shape == (4, 48, 64, 3)
      return f"grey {frames.mean():.0f}"

  class Info:
    duration, height, width = 4.0, 48, 64

  def frames(path, *, times, height, width):
    assert list(times) == [0.5, 1.5, 2.5, 3.5]
    if "dddd" in str(path):
      raise errors.InputError(path, "is broken")

    class Read:
      images = np.full((4, height, width, 3), 9, np.uint8)

    return Read

  monkeypatch.setattr(captioned.describe, "Describer", Describer)
  monkeypatch.setattr(captioned.read, "probe", lambda path: Info)
  monkeypatch.setattr(captioned.read, "read_frames", frames)
  (tmp_path / "config.json").write_text("{}")
  said = captioned.described(
    splits, root, folder=tmp_path, keep=tmp_path / "kept.jsonl"
  )
  assert asked == [tmp_path]
  assert said == {
    f"{video}_000003": ["grey 9"]
    for video, _, _ in ROWS
    if video != "dddddddddd4"
  }


def test_what_was_computed_is_not_computed_again(tmp_path):
  path = tmp_path / "new" / "kept.jsonl"
  asked = []

  def square(key):
    asked.append(key)
    if key == "3":
      raise errors.InputError("3", "is odd")
    if key == "stop":
      raise KeyboardInterrupt
    return int(key) ** 2

  by = {"power": 2}
  with pytest.raises(KeyboardInterrupt):
    kept.each(path, ["1", "3", "stop", "4"], square, by=by)
  with path.open("a") as file:
    file.write('["5", 2')  # cut short
  keys = ["4", "1", "5", "3", "1"]
  made = kept.each(path, keys, square, by=by)
  assert made == {"4": 16, "1": 1, "5": 25, "3": {"error": "3: is odd"}}
  assert asked == ["1", "3", "stop", "4", "5"]
  assert kept.each(path, keys, None, by=by) == made
  with pytest.raises(errors.InputError, match="of other settings"):
    kept.each(path, keys, square, by={"power": 3})
  path.write_text(json.dumps({"by": by}) + "\nnonsense\n")
  with pytest.raises(errors.InputError, match="cannot be read"):
    kept.each(path, keys, square, by=by)


def test_without_the_model_or_a_continuous_label_one_line_says_so(
  vggsound, model, tmp_path, capsys
):
  root, catalogue_folder = vggsound
  given = ["--index", catalogue_folder, "--source", root, "--out", tmp_path]
  command = [str(x) for x in (*given, "--clap", tmp_path / "no")]
  assert continuous.main(command) == 2
  assert "config.json: cannot be read" in capsys.readouterr().err
  one = entry_lib.Entry(id="x", source="x", media="x.wav", labels=("speech",))
  with pytest.raises(errors.InputError, match="none of 1 labels"):
    continuous.choose(
      {"train": [one]}, root, clap=None, scores=tmp_path / "s", by=""
    )
