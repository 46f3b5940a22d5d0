"""Label similarity: what it learns, and events by name."""

import json
import pathlib
import shutil

import jax
import jax.numpy as jnp
import media_samples as samples
import numpy as np
import pytest
import test_encoders_clip as clip_lib
import tiny_heads

from data_prep import encode
from vta import cli, errors
from vta.data import records
from vta.data.yard import record as yard_record
from vta.data.yard import stage
from vta.encoders import clip as clip_towers
from vta.encoders import text
from vta.inference import finders, label_events, predict
from vta.interop import release
from vta.models import label_similarity
from vta.signals import objects as objects_lib
from vta.training import configs, loop
from vta.training.tasks import label_similarity as task_lib

ROOT = pathlib.Path(__file__).parents[1]
FRAMES, LABELS, RATE = 8, 384, 15.0


# Directions of labels; a frame shows those that sound, and one that does not.
WORDS = np.linalg.qr(np.random.default_rng(9).normal(size=(FRAMES, FRAMES)))[0]


def clip(seed, *, frames=12, labels=2, digest=None):
  """Frames that tell which of the clip's labels sound."""
  rng = np.random.default_rng(seed)
  chosen = rng.choice(4, labels, replace=False)
  sounding = rng.random((frames, labels)) < 0.4
  seen = sounding @ WORDS[chosen] + 0.7 * WORDS[5]
  name, by, width = "frame_features", {"frames_by": "clip"}, FRAMES
  if digest is not None:
    name, by, width = "pictures", {"pictures_by": digest}, LABELS
  vectors = np.pad(WORDS[chosen], ((0, 0), (0, width - FRAMES)))
  return records.Record(
    arrays={
      name: (3.0 * seen).astype(np.float16),
      "object_vectors": vectors.astype(np.float16),
      "object_sounding": sounding,
    },
    meta={"id": f"clip-{seed}", "duration": frames / RATE, **by},
  )


def shard(folder, clips):
  return records.write_shards(folder, clips, shard_size=len(clips))[0]


def load(path, *more, variant="", width=(FRAMES, FRAMES)):
  return configs.load(
    f"{ROOT}/configs/label_similarity.py{variant}",
    [
      f"data.train=('{path}',)",
      f"data.validation=('{path}',)",
      "data.validation_batch=4",
      "batch_size=4",
      "clip.frames=10",
      "clip.labels=3",
      f"predictor.frame_width={width[0]}",
      f"predictor.label_width={width[1]}",
      "steps=120",
      "evaluate_every=120",
      "save_every=120",
      "optimizer.learning_rate=0.02",
      "optimizer.warmup=0.9",
      *more,
    ],
  )


@pytest.fixture(scope="module")
def eyes():
  """A predictor whose frame encoder is as wide as the tiny clips' frames."""
  return tiny_heads.folder()


@pytest.fixture(scope="module")
def trained(eyes, tmp_path_factory):
  """The release of a run by the command, on a frame encoder's pictures."""
  folder = tmp_path_factory.mktemp("label_similarity")
  digest = release.digest(release.load(eyes).parts["frame_encoder"])
  path = shard(folder / "set", [clip(i, digest=digest) for i in range(16)])
  command = ["train", "--config", f"{ROOT}/configs/label_similarity.py:yard"]
  command += ["--workdir", str(folder / "run")]
  overrides = [
    f"data.train=('{path}',)",
    f"data.validation=('{path}',)",
    "data.validation_batch=4",
    "batch_size=4",
    "clip.frames=10",
    f"predictor.frame_width={FRAMES}",
    f"frames_from={eyes}",
    "steps=120",
    "evaluate_every=120",
    "optimizer.learning_rate=0.02",
    "optimizer.warmup=0.9",
  ]
  for override in overrides:
    command += ["--set", override]
  assert cli.main(command) == 0
  return folder / "run"


def test_it_learns_what_the_frames_tell(trained):
  lines = (trained / "metrics.jsonl").read_text().splitlines()
  figures = [json.loads(line) for line in lines if "validation/loss" in line]
  before, after = figures[0], figures[-1]
  assert after["validation/loss"] < 0.3 * after["validation/constant_loss"]
  assert after["validation/loss"] < 0.3 * before["validation/loss"]
  assert after["validation/average_precision"] > 0.98
  assert after["validation/accuracy"] > 0.95
  assert after["validation/absent"] > 0.95
  # What a constant can do is the same whatever was learned.
  assert after["validation/constant_accuracy"] < 0.7
  made = release.load(trained / "release")
  assert made.config["preset"] == "label_similarity"
  assert made.config["frame_size"] == 16


def test_a_bare_cosine_has_no_threshold_of_a_half(tmp_path):
  """papers.md 9.10: as the paper's formula is read, nothing ever sounds."""
  config = load(shard(tmp_path, [clip(i) for i in range(8)]))
  task = task_lib.LabelSimilarityTask(config)
  start = task.init(jax.random.key(0))
  assert task.evaluate(start)["validation/absent"] == 1.0
  assert loop.train(task, config, tmp_path / "run") == 0
  made = release.load(tmp_path / "run/release")
  assert "frames" not in made.config
  after = task.evaluate({"predictor": made.parts["predictor"]})
  assert (
    after["validation/loss"] < 0.5 * task.evaluate(start)["validation/loss"]
  )


def test_figures_are_those_of_the_logits(tmp_path):
  """Two labels, one of which never sounds; the other's rank by hand."""
  task = task_lib.LabelSimilarityTask(load(shard(tmp_path, [clip(0)] * 4)))
  labels = np.stack([WORDS[:2], WORDS[[0, 2]]]).astype(np.float32)
  # The last bit of an embedding makes no label of its own.
  labels[1, 0] += 1e-6
  sounding = np.zeros((2, 4, 2), np.float32)
  sounding[0, :2, 0] = sounding[1, 0, 0] = 1.0
  logits = np.full((2, 4, 2), -2.0, np.float32)
  logits[0, :3, 0] = [1.0, -1.0, 0.5]
  logits[1, 0, 0] = 3.0
  task._sets.validation = [
    {
      "frames": np.zeros((2, 4, FRAMES), np.float32),
      "labels": labels,
      "sounding": sounding,
      "valid": np.array([[True] * 4, [True, True, False, False]]),
      "named": np.array([[True, False], [True, True]]),
    }
  ]
  task._logits = lambda params, batch: jnp.asarray(logits)
  found = task.evaluate({"predictor": None})
  # Frames of label 0: 4 + 2, of which 3 sound; of label 2: 2, none.
  assert found["validation/accuracy"] == pytest.approx(6 / 8)
  assert found["validation/constant_accuracy"] == pytest.approx(5 / 8)
  # In order 3.0, 1.0 right, 0.5 wrong, -1.0 right.
  precision = (1 + 1 + 3 / 4) / 3
  assert found["validation/average_precision"] == pytest.approx(precision)
  assert found["validation/constant_precision"] == pytest.approx(0.5)
  assert found["validation/constant_loss"] == pytest.approx(6 / 8 * np.log(2))
  # Asked of clip 0 is label 2 alone, of clip 1 nothing that it has not: the
  # second column of clip 0's four frames.
  assert found["validation/absent"] == 1.0


def test_an_example_s_labels_go_with_their_columns(tmp_path):
  config = load(shard(tmp_path, [clip(0)] * 4), "clip.labels=2")
  task = task_lib.LabelSimilarityTask(config)
  whole = clip(3, frames=30, labels=4)
  made = task.example(whole, np.random.default_rng(1))
  assert made["labels"].shape == (2, FRAMES)
  for column, label in enumerate(made["labels"]):
    (i,) = np.flatnonzero(
      np.all(whole.arrays["object_vectors"] == label.astype(np.float16), axis=1)
    )
    # The stretch is where its frames are.
    shown = made["frames"] @ label / 3.0 > 0.5
    np.testing.assert_array_equal(shown, made["sounding"][:, column] > 0.5)
    assert whole.arrays["object_sounding"][:, i].sum() > 0
  short = task.example(clip(4, frames=6, labels=1), np.random.default_rng(1))
  np.testing.assert_array_equal(short["valid"], np.arange(10) < 6)
  np.testing.assert_array_equal(short["named"], [True, False])
  silent = task.example(clip(5, labels=0), np.random.default_rng(1))
  assert not silent["named"].any()


@pytest.mark.parametrize(
  ("name", "said"),
  [
    ("object_sounding", "no object_sounding: make it anew by `python -m vta y"),
    ("frame_features", "no frame_features: make it .*data_prep.encode --clip"),
  ],
)
def test_records_that_lack_a_field_are_refused_by_name(tmp_path, name, said):
  task = task_lib.LabelSimilarityTask(load(shard(tmp_path, [clip(0)] * 4)))
  whole = clip(1)
  arrays = {k: v for k, v in whole.arrays.items() if k != name}
  bare = records.Record(arrays=arrays, meta=whole.meta)
  with pytest.raises(errors.InputError, match=said):
    task.example(bare, np.random.default_rng(0))


def test_eyes_that_are_not_the_records(tmp_path, eyes):
  path = shard(tmp_path, [clip(0, digest="0f")] * 4)
  with pytest.raises(errors.InputError, match="not by the frame encoder of"):
    task_lib.LabelSimilarityTask(load(path, f"frames_from={eyes}"))
  blind = tmp_path / "blind"
  release.save(
    blind, config={"preset": "foley"}, parts={"codec": {}}, card="# Empty\n"
  )
  with pytest.raises(errors.InputError, match="holds no frame_encoder"):
    task_lib.LabelSimilarityTask(load(path, f"frames_from={blind}"))
  tower = shutil.copytree(eyes, tmp_path / "tower")
  document = json.loads((tower / "config.json").read_text())
  document["frames"]["tower"] = 6
  (tower / "config.json").write_text(json.dumps(document))
  with pytest.raises(errors.InputError, match="without a tower"):
    task_lib.LabelSimilarityTask(load(path, f"frames_from={tower}"))
  document["preset"] = "foley"
  (tower / "config.json").write_text(json.dumps(document))
  with pytest.raises(errors.InputError, match="expected 'predictor', found 'f"):
    task_lib.LabelSimilarityTask(load(path, f"frames_from={tower}"))


def test_events_of_a_known_curve():
  times = np.arange(60) / 10.0
  probability = np.full((60, 2), 0.1)
  probability[10:20, 0] = probability[21:30, 0] = 0.9  # a gap of 0.1 s
  probability[40, 0] = 0.9  # 0.1 s long: stays
  probability[25:45, 1] = 0.51
  probability[50, 1] = 0.5  # not above a half
  found = objects_lib.Objects(
    labels=("rain", "car"), times=times, probability=probability
  )
  each = label_events.events(found, 6.0)
  assert list(each) == ["rain", "car"]
  np.testing.assert_allclose(
    each["rain"].intervals, [[0.95, 2.95], [3.95, 4.05]]
  )
  np.testing.assert_allclose(each["car"].intervals, [[2.45, 4.45]])
  np.testing.assert_allclose(label_events.union(each).intervals, [[0.95, 4.45]])
  assert not len(label_events.union({}).intervals)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
  """Two shots of 0.8 s."""
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (2, 6, 8, 3), np.uint8)[[0] * 20 + [1] * 20]
  return samples.video(
    tmp_path_factory.mktemp("clip") / "a.mp4",
    images=images.repeat(8, 1).repeat(8, 2),
    stamps=range(0, 1600, 40),
  )


def spread(folder, source):
  """A release like `source`, of which some frames pass a half."""
  made = release.load(source)
  parts = dict(made.parts)
  parts["predictor"] = {
    **parts["predictor"],
    "log_scale": jnp.full(1, np.log(40.0), jnp.float32),
    "bias": jnp.zeros(1),
  }
  release.save(folder, config=made.config, parts=parts, card="# Tests\n")
  return folder


def test_predict_finds_events_of_the_nouns_or_labels(
  trained, video, tmp_path, capsys
):
  folder = spread(tmp_path / "release", trained / "release")
  out = tmp_path / "cues.json"
  command = ["predict", str(video), "--out", str(out), "--predictor"]
  command += [str(tiny_heads.folder()), "--events", str(folder)]
  assert cli.main([*command, "--text", "rain falls on a car"]) == 0
  printed = capsys.readouterr().out
  said = (
    f"label similarity {folder} for rain, car, looking for the text's nouns"
  )
  assert f"  events     all   {said}\n" in printed
  assert "  loudness   all   heads of" in printed
  reader = label_events.LabelReader(folder)
  seen = reader.look(video, 1.6)
  found = reader.similarity(seen, ["rain", "car"])
  whole = label_events.union(label_events.events(found, 1.6))
  tracks = json.loads(out.read_text())["tracks"]
  for track, start, end in zip(tracks, (0.0, 0.8), (0.8, 1.6), strict=True):
    inside = whole.erase(0.0, start).erase(end, 1.6).intervals
    np.testing.assert_allclose(
      np.reshape(track["events"], (-1, 2)), inside, atol=1e-3
    )
    assert track["sources"]["events"] == said
  assert cli.main([*command, "--labels", "wind"]) == 0
  assert f"label similarity {folder} for wind\n" in capsys.readouterr().out
  assert cli.main(command) == 0
  assert "none: there is no text to take nouns from" in capsys.readouterr().out


def test_similarity_is_of_what_records_hold(trained, video):
  """What training has seen and what a video shows come the same way."""
  reader = label_events.LabelReader(trained / "release")
  seen = reader.look(video, 1.6)
  assert seen.features.shape == (24, FRAMES)
  np.testing.assert_allclose(seen.times, np.arange(24) / 15.0)
  found = reader.similarity(seen, ["rain", "car"])
  params = release.load(trained / "release").parts["predictor"]
  named = text.TextEncoder.load().encode(["rain", "car"]).pooled
  seen = seen.features @ np.asarray(params["project"]["kernel"])
  seen /= np.linalg.norm(seen, axis=1, keepdims=True)
  logits = np.exp(params["log_scale"]) * (seen @ named.T) + params["bias"]
  np.testing.assert_allclose(
    found.probability, 1 / (1 + np.exp(-logits)), atol=1e-4
  )


def clip_release(folder, *, width=20):
  """A release that sees by the tiny CLIP, in its folder."""
  config = label_similarity.LabelSimilarityConfig(
    frame_width=width, label_width=width, scale=3.0, bias=-0.5
  )
  net = label_similarity.LabelSimilarity(config)
  blank = jnp.zeros((1, 1, width))
  params = dict(jax.jit(net.init)(jax.random.key(0), blank, blank)["params"])
  sizes = {"frame_width": width, "label_width": width}
  release.save(
    folder,
    config={
      "preset": "label_similarity",
      "predictor": {**sizes, "scale": 3.0, "bias": -0.5},
      "frame_rate": RATE,
    },
    parts={"predictor": params},
    card="# Identity, for tests\n",
  )
  clip_lib.make(folder / "clip")
  return folder


def test_clip_sees_in_records_as_in_videos(video, tmp_path):
  folder = clip_release(tmp_path / "release")
  reader = label_events.LabelReader(folder)
  found = reader.similarity(reader.look(video, 1.6), ["rain", "a dog"])
  assert found.probability.shape == (24, 2)
  assert found.probability.std(axis=0).min() > 0.0
  staged = [stage.sample_scene(5, i, duration=1.0) for i in range(40)]
  staged = next(s for s in staged if len(s.sources) == 2)
  (made,) = encode.encode_records(
    [yard_record.record(staged)],
    encode_wave=encode.WaveEncoder(
      encode=lambda wave: (np.zeros((1, 8)), np.ones((1, 8))),
      digest="0",
      rate=1.0,
    ),
    texts=text.TextEncoder.load(),
    captions=1,
    clip=encode.Clip.load(folder / "clip"),
  )
  records.check(made)
  frames, labels = (
    made.arrays[name].astype(np.float32) for name in task_lib.CLIP
  )
  wave = yard_record.record(staged)
  shown = clip_towers.ImageEncoder.load(folder / "clip")
  shown = shown.encode(wave.arrays["frames"]).projected
  named = clip_towers.TextEncoder.load(folder / "clip")
  named = named.encode([s.thing for s in staged.sources]).projected
  np.testing.assert_allclose(frames, shown, atol=5e-3, rtol=5e-3)
  np.testing.assert_allclose(labels, named, atol=5e-3, rtol=5e-3)
  assert made.arrays["object_sounding"].shape == (15, 2)


def test_what_is_no_label_similarity(tmp_path, video, capfd):
  out = str(tmp_path / "cues.json")
  heads = str(tiny_heads.folder())
  with pytest.raises(errors.InputError, match="expected 'label_similarity'"):
    label_events.LabelReader(heads)
  assert cli.main(["predict", str(video), "--out", out, "--events", heads]) == 2
  (line,) = capfd.readouterr().err.splitlines()
  assert line == (
    f"error: {heads}/config.json: preset: expected 'event_detector' or "
    "'label_similarity', found 'predictor'"
  )
  wrong = clip_release(tmp_path / "wrong", width=24)
  with pytest.raises(errors.InputError, match="24 and 24 wide, they are 20 an"):
    label_events.LabelReader(wrong)
  path = wrong / "config.json"
  document = json.loads(path.read_text())
  del document["frame_rate"]
  path.write_text(json.dumps(document))
  with pytest.raises(errors.InputError, match="no label similarity: KeyError"):
    label_events.LabelReader(wrong)


def test_labels_are_for_those_who_look(video):
  request = finders.Request(labels=("rain",), predictor=tiny_heads.folder())
  with pytest.raises(errors.InputError, match="--labels: is of no use without"):
    predict.predict(video, duration=1.6, request=request)
