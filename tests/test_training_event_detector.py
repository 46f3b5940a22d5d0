"""The event detector's task, from records to a release that predicts."""

import os
import pathlib
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import test_models_event_detector as model_lib
import torch

from vta import cli, errors
from vta.data import records
from vta.inference import detection
from vta.interop import release
from vta.metrics import intervals
from vta.models import batch_norm, event_detector
from vta.signals import events as events_lib
from vta.training import configs, loop
from vta.training.tasks import event_detector as task_lib

ROOT = pathlib.Path(__file__).parents[1]
SIZES = {"widths": (4,), "blocks": (1,), "stem": 3, "hidden": 4}


def clip(seed, duration=3.0, rate=15, **arrays):
  """A corner that is lit while it sounds, on a picture of another light."""
  rng = np.random.default_rng(seed)
  times = np.arange(int(duration * rate)) / rate
  if "events" not in arrays:
    edges = rng.choice(np.arange(1, int(duration * 5)), 6, replace=False)
    pairs = np.sort(edges).reshape(3, 2) / 5.0 + 0.01
    arrays["events"] = pairs.astype(np.float32)
  sounds = np.any(
    [(a <= times) & (times < b) for a, b in arrays["events"]], axis=0
  )
  frames = rng.integers(60, 90, (len(times), 16, 16, 3), np.uint8)
  frames += rng.integers(0, 80, dtype=np.uint8)
  frames[:, 3:9, 3:9] += np.where(sounds, 80, 0).astype(np.uint8)[
    :, None, None, None
  ]
  arrays = {
    "frames": frames,
    "frame_times": times.astype(np.float32),
    **arrays,
  }
  return records.Record(
    arrays=arrays, meta={"id": f"clip-{seed}", "duration": duration}
  )


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
  """Overrides of the config, for `--set`."""
  (shard,) = records.write_shards(
    tmp_path_factory.mktemp("records"),
    [clip(seed) for seed in range(8)],
    shard_size=8,
  )
  return [
    f"data.train=('{shard}',)",
    f"data.validation=('{shard}',)",
    "data.validation_batch=4",
    "batch_size=4",
    "clip.frames=12",
    "clip.resize=18",
    "clip.size=16",
    *(f"predictor.{name}={value}" for name, value in SIZES.items()),
    "population_batches=2",
    "steps=32",
    "evaluate_every=32",
    "save_every=32",
    "optimizer.learning_rate=0.03",
  ]


@pytest.fixture(scope="module")
def config(settings):
  return configs.load(f"{ROOT}/configs/event_detector.py:yard", settings)


@pytest.fixture(scope="module")
def trained(settings, tmp_path_factory):
  """The folder of a run by the command."""
  folder = tmp_path_factory.mktemp("whole")
  command = ["train", "--config", f"{ROOT}/configs/event_detector.py:yard"]
  command += ["--workdir", str(folder)]
  for override in settings:
    command += ["--set", override]
  assert cli.main(command) == 0
  return folder


def released(folder):
  return release.load(folder / "release").parts["predictor"]


def test_it_learns_what_lights_up(config, trained):
  task = task_lib.EventDetectorTask(config)
  before = task.evaluate(task.init(jax.random.key(0)))
  # Whatever statistics parameters come with, the population is measured.
  params = jax.tree_util.tree_map_with_path(
    lambda path, x: x + 9.0 * (path[-1].key in batch_norm.STATISTICS),
    released(trained),
  )
  after = task.evaluate({"predictor": params})
  assert before.keys() == after.keys()
  assert before["validation/average_precision"] < 0.8
  assert after["validation/average_precision"] > 0.97
  assert after["validation/loss"] < 0.5 * before["validation/loss"]
  assert after["validation/accuracy"] > 0.9 > before["validation/accuracy"]
  assert after["validation/iou"] > 0.8 > before["validation/iou"]


def test_figures_are_those_of_the_logits(config):
  """Without batches of its own, by hand."""
  task = task_lib.EventDetectorTask(config)
  rng = np.random.default_rng(0)
  task._calibrated = lambda params: None
  target = rng.integers(0, 2, (4, 12)).astype(np.float32)
  target[0] = 0.0
  valid = np.arange(12)[None] < np.array([[12], [5], [12], [1]])
  logits = rng.normal(size=(4, 12)).astype(np.float32)
  logits[0] = -1.0
  task._held_out.validation = [
    {"frames": s, "events": target[s], "valid": valid[s]}
    for s in (slice(0, 2), slice(2, 4))
  ]
  task._logits = lambda _, part: logits[part]
  got = task.evaluate({"predictor": None})
  right = (logits > 0) == (target > 0.5)
  assert got["validation/accuracy"] == pytest.approx(right[valid].mean())
  ious = [
    intervals.event_iou((logits > 0)[i][valid[i]], target[i][valid[i]])
    for i in range(4)
  ]
  assert ious[0] == 1.0
  assert got["validation/iou"] == pytest.approx(np.mean(ious))
  entropy = np.log1p(np.exp(np.where(target > 0.5, -logits, logits)))
  assert got["validation/loss"] == pytest.approx(entropy[valid].mean(), 1e-5)
  order = np.argsort(-logits[valid])
  hits = target[valid][order]
  precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
  assert got["validation/average_precision"] == pytest.approx(
    precision[hits > 0.5].mean(), 1e-6
  )


def test_the_release_has_the_population_of_the_first_batches(config, trained):
  """The first norm's, whose input no other norm touches, by torch."""
  task = task_lib.EventDetectorTask(config)
  params = released(trained)
  made = task._calibrated(params)["trunk"]["stem"]
  batches = task.batches(0)
  frames = np.concatenate([next(batches)["frames"] for _ in range(2)])
  x = torch.tensor(frames).flatten(0, 1).movedim(-1, 1).double() / 255.0
  mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
  for i in range(3):
    x[:, i] = (x[:, i] - mean[i]) / std[i]
  kernel = np.array(params["trunk"]["stem"]["spatial"]["kernel"])
  y = torch.nn.functional.conv2d(
    x, torch.tensor(kernel).permute(3, 2, 0, 1).double(), stride=2, padding=3
  ).numpy()
  wanted = {"mean": y.mean((0, 2, 3)), "variance": y.var((0, 2, 3))}
  for name, value in wanted.items():
    np.testing.assert_allclose(made["norm"][name], value, rtol=1e-4, atol=1e-5)
    # Half precision is all that the release's own kernels have lost.
    held = params["trunk"]["stem"]["norm"][name]
    np.testing.assert_allclose(held, value, rtol=1e-2, atol=1e-2)
    fresh = task.init(jax.random.key(0))["predictor"]["trunk"]["stem"]["norm"]
    assert np.abs(held - fresh[name]).max() > 0.05


def test_stopped_and_resumed_equals_uninterrupted(config, trained, tmp_path):
  class Stopping(task_lib.EventDetectorTask):
    def batches(self, start):
      for step, batch in enumerate(super().batches(start), start):
        if step == 17:
          os.kill(os.getpid(), signal.SIGTERM)
        yield batch

  assert loop.train(Stopping(config), config, tmp_path) == loop.STOPPED
  assert not (tmp_path / "release").exists()
  again = task_lib.EventDetectorTask(config)
  assert loop.train(again, config, tmp_path) == 0
  for name in ("predictor.safetensors", "config.json"):
    one, other = (f / "release" / name for f in (trained, tmp_path))
    assert one.read_bytes() == other.read_bytes()


def test_a_release_predicts_at_any_rate_and_length(trained):
  detector = detection.EventDetector.load(trained / "release")
  for seed, duration, rate in ((20, 3.0, 25), (21, 9.3, 10), (22, 2.0, 15)):
    seen = clip(seed, duration, rate)
    found = detector.predict(
      seen.arrays["frames"],
      seen.arrays["frame_times"].astype(np.float64),
      duration,
    )
    times = np.arange(0.0, duration, 0.01)
    truth = events_lib.Events(intervals=seen.arrays["events"].astype(float))
    one, other = (events_lib.to_binary(x, times) for x in (found, truth))
    assert intervals.event_iou(one, other) > 0.75
    assert found.intervals.max() <= duration
  # An event of the last frame lasts to the clip's end.
  lit = clip(24, 2.0, events=np.array([[0.0, 2.0]], np.float32))
  frames, times = lit.arrays["frames"], np.arange(30) / 15
  always = detector.predict(frames, times, 2.0)
  assert always == events_lib.Events(intervals=np.array([[0.0, 2.0]]))
  none = seen.arrays["frames"][:0], np.zeros(0), 2.0
  with pytest.raises(ValueError, match="0 frames in 2"):
    detector.predict(*none)


def test_stretches_are_averaged_where_they_overlap(trained):
  """By hand, stretch after stretch; one frame past the end is held."""
  detector = detection.EventDetector.load(trained / "release")
  params = released(trained)
  network = event_detector.Network(event_detector.EventDetectorConfig(**SIZES))
  apply = jax.jit(
    lambda x: network.apply({"params": params}, x, training=False)
  )
  seen = clip(23, duration=5.0)
  frames = seen.arrays["frames"][:29]
  times = np.arange(29) / 15
  at, logits = detector.logits(frames, times, 29 / 15)
  np.testing.assert_allclose(at, times)
  pictures = task_lib.pictures.resize(frames, 18)[:, 1:17, 1:17]
  total, weight = np.zeros(30), np.zeros(30)
  ramp = np.minimum(
    1, np.minimum(np.arange(12) + 0.5, 11.5 - np.arange(12)) / 3
  )
  for first in (0, 9, 18):
    some = pictures[np.minimum(np.arange(first, first + 12), 28)]
    total[first : first + 12] += (
      ramp * np.asarray(apply(jnp.asarray(some)[None]))[0]
    )
    weight[first : first + 12] += ramp
  np.testing.assert_allclose(logits, (total / weight)[:29], atol=1e-4)
  assert np.abs(logits).max() > 1.0


def test_an_example_s_events_are_those_of_its_frames(config):
  task = task_lib.EventDetectorTask(config)
  starts = set()
  for seed in range(12):
    record, rng = clip(seed), np.random.default_rng(seed)
    made = task.example(record, rng)
    assert made["frames"].shape == (12, 16, 16, 3)
    assert made["valid"].all()
    light = made["frames"][:, 5:8, 5:8].mean((1, 2, 3))
    dark = made["frames"][:, 11:].mean((1, 2, 3))
    np.testing.assert_array_equal(made["events"], light - dark > 40)
    again = task.example(record, np.random.default_rng(seed + 99))
    starts |= {x["frames"].tobytes() for x in (made, again)}
    varied = task.varied(record, np.random.default_rng(seed))
    np.testing.assert_array_equal(varied["events"], made["events"])
    assert np.abs(varied["frames"].astype(int) - made["frames"]).max() > 0
  assert len(starts) > 20


def test_past_the_clip_s_end_the_last_frame_is_held(config):
  task = task_lib.EventDetectorTask(config)
  short = clip(1, duration=0.5, events=np.array([[0.1, 0.3]], np.float32))
  made = task.example(short, np.random.default_rng(0))
  np.testing.assert_array_equal(made["valid"], np.arange(12) < 8)
  np.testing.assert_array_equal(
    made["frames"][7:], made["frames"][6:7].repeat(5, axis=0)
  )
  np.testing.assert_array_equal(made["events"], [0, 0, 1, 1, 1, *[0] * 7])


def test_events_within_20_ms_are_one(config):
  task = task_lib.EventDetectorTask(config)
  # A frame is at 8 / 15 = 0.5333 s, in both gaps.
  for gap, expected in ((0.0145, 1.0), (0.03, 0.0)):
    pairs = [[0.0, 0.55 - gap], [0.55, 0.8]]
    if expected:
      pairs = [[0.0, 0.52], [0.52 + gap, 0.8]]
    record = clip(1, duration=0.8, events=np.array(pairs, np.float32))
    made = task.example(record, np.random.default_rng(0))
    assert made["events"][8] == expected
    assert made["events"][7] == 1.0


def test_what_a_mask_hides_is_grey(config):
  mask = np.zeros((45, 16, 2), np.uint8)
  mask[:, :, 0] = 255  # the left half
  task = task_lib.EventDetectorTask(config)
  made = task.example(clip(1, mask=mask), np.random.default_rng(0))
  assert (made["frames"][:, :, 10:] == 127).all()
  assert made["frames"][:, :, :7].std() > 5


def test_records_without_frames_are_refused_by_name(config):
  whole = clip(1)
  arrays = {k: v for k, v in whole.arrays.items() if k != "frames"}
  bare = records.Record(arrays=arrays, meta=whole.meta)
  task = task_lib.EventDetectorTask(config)
  with pytest.raises(errors.InputError, match=r"clip-1: .* has no frames"):
    task.example(bare, np.random.default_rng(0))


def test_it_starts_from_a_trunk(settings, tmp_path):
  sizes = event_detector.EventDetectorConfig(**SIZES)
  theirs = model_lib.torch_detector(sizes)
  path = tmp_path / "trunk.pth"
  torch.save(theirs.net.model.state_dict(), path)
  made = [
    task_lib.EventDetectorTask(
      configs.load(f"{ROOT}/configs/event_detector.py:yard", [*settings, more])
    ).init(jax.random.key(0))["predictor"]
    for more in ("trunk_from=", f"trunk_from={path}")
  ]
  for part in ("hidden", "logit"):
    jax.tree.map(np.testing.assert_array_equal, *(m[part] for m in made))
  np.testing.assert_array_equal(
    made[1]["trunk"]["stem"]["norm"]["mean"],
    theirs.net.model.stem[1].running_mean.numpy(),
  )


def test_adam_decays_what_is_learned_and_falls_as_a_cosine(config):
  """Kingma and Ba's, with the decay in the gradient as torch has it."""
  rng = np.random.default_rng(0)
  start = {
    name: rng.normal(size=(3,)).astype(np.float32)
    for name in ("kernel", "scale", "bias", *batch_norm.STATISTICS)
  }
  section = config.optimizer.copy_and_resolve_references()
  section.update({"learning_rate": 0.1, "weight_decay": 0.5})
  adam = task_lib._adam(section, 10)
  update = jax.jit(adam.update)
  params, held = dict(start), adam.init(start)
  wanted = {name: value.astype(np.float64) for name, value in start.items()}
  first, second = ({name: 0.0 for name in start} for _ in range(2))
  for n in range(4):
    slopes = {
      name: np.zeros(3, np.float32)
      if name in batch_norm.STATISTICS
      else rng.normal(size=3).astype(np.float32)
      for name in start
    }
    updates, held = update(slopes, held, params)
    params = {name: params[name] + np.asarray(updates[name]) for name in start}
    rate = 0.05 * (1.0 + np.cos(np.pi * n / 10))
    for name in ("kernel", "scale", "bias"):
      slope = slopes[name] + 0.5 * wanted[name]
      first[name] = 0.9 * first[name] + 0.1 * slope
      second[name] = 0.999 * second[name] + 0.001 * slope**2
      mean = first[name] / (1.0 - 0.9 ** (n + 1))
      square = second[name] / (1.0 - 0.999 ** (n + 1))
      wanted[name] = wanted[name] - rate * mean / (np.sqrt(square) + 1e-8)
  for name, value in wanted.items():
    np.testing.assert_allclose(params[name], value, rtol=1e-4, err_msg=name)


def test_what_is_no_event_detector_is_refused(trained, tmp_path):
  made = release.load(trained / "release")

  def saved(**changes):
    release.save(
      tmp_path,
      config={**made.config, **changes},
      parts=made.parts,
      card="",
    )
    return tmp_path

  with pytest.raises(errors.InputError, match="expected 'event_detector', fou"):
    detection.EventDetector.load(saved(preset="predictor"))
  with pytest.raises(errors.InputError, match="describes no event detector"):
    detection.EventDetector.load(saved(clip={"size": 16}))
  wide = {**made.config["predictor"], "hidden": 5}
  with pytest.raises(errors.InputError, match="3 arrays do not fit") as caught:
    detection.EventDetector.load(saved(predictor=wide))
  for name in ("hidden/bias", "hidden/kernel", "logit/kernel"):
    assert name in caught.value.message


@pytest.mark.parametrize(
  ("override", "message"),
  [
    ("population_batches=0", "config: population_batches: is 0"),
    ("event_weight=length", "config: event_weight: 'length' is not duration, "),
    ("clip.size=19", "config: clip.size: no square of 19 is in one of 18"),
  ],
)
def test_values_that_cannot_be(settings, override, message):
  config = configs.load(
    f"{ROOT}/configs/event_detector.py:yard", [*settings, override]
  )
  with pytest.raises(errors.InputError) as caught:
    task_lib.EventDetectorTask(config)
  assert message in str(caught.value)


def test_a_public_checkpoint_predicts_as_it_is(tmp_path, monkeypatch):
  sizes = event_detector.EventDetectorConfig(**SIZES)
  monkeypatch.setattr(
    detection.event_detector, "EventDetectorConfig", lambda: sizes
  )
  theirs = model_lib.torch_detector(sizes)
  torch.save({"state_dict": theirs.state_dict()}, tmp_path / "all.pth.tar")
  detector = detection.EventDetector.load_checkpoint(tmp_path / "all.pth.tar")
  frames = np.random.default_rng(0).integers(
    0, 256, (30, 128, 128, 3), np.uint8
  )
  _, logits = detector.logits(frames, np.arange(30) / 15, 2.0)
  with torch.no_grad():
    expected = theirs(torch.tensor(frames[None, :, 8:120, 8:120]))[0].numpy()
  np.testing.assert_allclose(logits, expected, atol=1e-3)
  torch.save(theirs.net.model.state_dict(), tmp_path / "trunk.pth")
  with pytest.raises(errors.InputError, match="a trunk without a head"):
    detection.EventDetector.load_checkpoint(tmp_path / "trunk.pth")
