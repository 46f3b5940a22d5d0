"""The papers' presets on yard records, at a tiny size: base and modules."""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_release

from data_prep import encode
from vta import cli, errors
from vta.conditioning import composed
from vta.conditioning import frames as frames_lib
from vta.data import records
from vta.data.yard import record as yard_record
from vta.data.yard import stage
from vta.encoders import text
from vta.inference import generator as generator_lib
from vta.inference import job as job_lib
from vta.interop import release, trees
from vta.media import read, write
from vta.signals import cues, events
from vta.training import configs, loop
from vta.training.tasks import denoiser

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
  """Latent records of two short clips."""
  scenes = (stage.sample_scene(5, i, duration=1.5) for i in range(20))
  staged = [scene for scene in scenes if scene.sources][:2]
  folder = tmp_path_factory.mktemp("records")
  records.write_shards(
    folder,
    encode.encode_records(
      [yard_record.record(scene) for scene in staged],
      encode_wave=encode.wave_encoder(release.load(tiny_release.folder())),
      texts=text.TextEncoder.load(),
      captions=2,
    ),
    shard_size=2,
  )
  return folder


def tiny(row, shards, *more):
  return configs.load(
    f"{ROOT}/configs/composed.py:{row}-yard",
    [
      f"codec={tiny_release.folder()}",
      f"data.train=('{shards}',)",
      f"data.validation=('{shards}',)",
      "data.validation_batch=1",
      "data.validation_batches=1",
      "batch_size=2",
      "frames_from=",
      "frozen=()",
      "clip.window=24",
      "conditioner.vector_width=8",
      "conditioner.frames.widths=(4, 4, 4, 4)",
      "conditioner.frames.features=8",
      "denoiser.latents=8",
      "denoiser.width=16",
      "denoiser.depth=2",
      "denoiser.unroll=1",  # half of what there is to compile
      "denoiser.heads=1",
      "denoiser.cross_heads=1",
      "denoiser.condition_width=8",
      "steps=2",
      "evaluate_every=2",
      "save_every=2",
      "guidance.steps=2",
      *more,
    ],
  )


def train(config, folder) -> pathlib.Path:
  assert loop.train(denoiser.DenoiserTask(config), config, folder) == 0
  return folder / "release"


@pytest.fixture(scope="module")
def base(shards, tmp_path_factory):
  """Text to audio, no number of it still at a zero that it started from."""
  folder = train(tiny("text", shards), tmp_path_factory.mktemp("text"))
  held = release.load(folder)
  parts = jax.tree.map(
    lambda x: x + 0.1 * jax.random.normal(jax.random.key(x.size), x.shape),
    dict(held.parts),
  )
  parts["codec"] = held.parts["codec"]
  moved = folder.with_name("moved")
  release.save(
    moved, config=held.config, parts=parts, card="", dtype=jnp.float32
  )
  release.copy_rest(folder, moved)
  return moved


MODULES = {
  "draw_an_audio": "frames",
  "sonicvision": "events",
  "smooth_foley": "frames",
}


@pytest.fixture(scope="module")
def trained(base, shards, tmp_path_factory):
  """Every row's run, beside the base."""
  return {
    row: train(
      tiny(row, shards, f"base_from={base}"), tmp_path_factory.mktemp(row)
    )
    for row in MODULES
  }


class Asked:
  """Velocities of releases and of fresh parameters, of one batch."""

  def __init__(self, row, shards, *more):
    self._task = denoiser.DenoiserTask(tiny(row, shards, *more))
    self._batch = jax.tree.map(jnp.asarray, next(self._task.batches(0)))

  def fresh(self):
    return self._task.init(jax.random.key(0))["model"]

  def velocity(self, params):
    system, batch = self._task.system, self._batch
    noisy = jax.random.normal(jax.random.key(3), batch["latent_mean"].shape)

    @jax.jit
    def apply():
      features = system.encode(params, batch)
      conditions = system.select(params, features, jnp.ones((2, 6), bool))
      time = jnp.array([0.2, 0.9])
      return system.velocity(
        params, noisy, time, conditions, valid=batch["valid"]
      )

    return np.asarray(apply())


def table(folder):
  parts = release.load(folder).parts
  return trees.flatten({k: parts[k] for k in ("conditioner", "denoiser")})


@pytest.mark.parametrize("row", MODULES)
def test_a_module_trains_beside_a_base_that_stays(row, base, trained, shards):
  asked = Asked(row, shards, f"base_from={base}")
  want = Asked("text", shards).velocity(release.load(base).parts)
  start = asked.fresh()
  np.testing.assert_array_equal(asked.velocity(start), want)

  before, after = table(base), table(trained[row])
  for path, leaf in before.items():
    np.testing.assert_array_equal(after[path], leaf, err_msg=path)
  fresh = trees.flatten(start)
  new = [path for path in after if path not in before]
  assert any(MODULES[row] in path for path in new)
  moved = [path for path in new if np.any(after[path] != fresh[path])]
  assert len(moved) > len(new) / 3
  assert np.any(asked.velocity(release.load(trained[row]).parts) != want)


@pytest.mark.parametrize("row", MODULES)
def test_a_module_alone_makes_the_release_again(row, base, trained, tmp_path):
  alone, out = trained[row].with_name("module"), tmp_path / "again"
  arguments = ["merge", str(base), "--module", str(alone), "--out", str(out)]
  assert cli.main(arguments) == 0
  again, want = table(out), table(trained[row])
  assert again.keys() == want.keys()
  for path, leaf in want.items():
    np.testing.assert_array_equal(again[path], leaf, err_msg=path)
  made, whole = (release.load(f).config for f in (out, trained[row]))
  assert sorted(made["conditioner"].pop("places")) == sorted(
    whole["conditioner"].pop("places")
  )
  assert made == whole


def test_modules_stack_each_at_its_strength(base, trained, tmp_path):
  frames, events_ = (
    trained[row].with_name("module") for row in ("smooth_foley", "sonicvision")
  )

  def generated(*arguments):
    out = tmp_path / str(len(list(tmp_path.iterdir())))
    assert cli.main(["merge", str(base), *arguments, "--out", str(out)]) == 0
    made = generator_lib.Generator(out)
    times = made.reader.frame_times(1.2)
    track = cues.Track(
      text="a bell", events=events.Events(intervals=np.array([[0.2, 0.5]]))
    )
    job = job_lib.Job(
      duration=1.2, frames=grey(made, times), track=track, seed=0
    )
    (wave,) = made.generate([job], made.settings)
    return wave

  both = ["--module", str(frames), "--module", str(events_)]
  wave = generated(*both)
  assert np.isfinite(wave).all()

  def apart(*arguments):
    return np.max(np.abs(generated(*arguments) - wave)) / np.max(np.abs(wave))

  assert apart(*both[2:], *both[:2]) < 1e-5
  # Two steps from zero they say little; at a hundred times their strength not.
  assert apart("--module", f"{frames}:100", *both[2:]) > 1e-3
  assert apart(*both[:2], "--module", f"{events_}:100") > 1e-3


def test_a_strength_is_chosen_when_generating(base, trained):
  """At none the release is its base; the command takes what it has."""
  made = generator_lib.Generator(trained["sonicvision"])
  assert made.weighed == ("events",)
  assert made.settings.strengths == {"events": 2.0}
  intervals = np.array([[0.2, 0.5]])

  def generated(generator, scale, given):
    track = cues.Track(text="a bell", events=given)
    job = job_lib.Job(duration=1.2, frames=None, track=track, seed=0)
    settings = dataclasses.replace(
      generator.settings, strengths={"events": scale}
    )
    (wave,) = generator.generate([job], settings)
    return wave

  marked = events.Events(intervals=intervals)
  want = generated(generator_lib.Generator(base), 0.0, None)
  np.testing.assert_array_equal(generated(made, 0.0, marked), want)
  assert np.abs(generated(made, 100.0, marked) - want).max() > 1e-3 * want.max()


def test_a_strength_that_is_none_is_refused(base, trained, tmp_path, capsys):
  video = tmp_path / "clip.mp4"
  write.write_video(video, np.zeros((24, 32, 32, 3), np.uint8), rate=15.0)
  out = ["--out", str(tmp_path / "out.mp4")]
  for folder, given, message in (
    (base, "events=2", "this checkpoint has no adapters"),
    (trained["sonicvision"], "frames=1", "has adapters for events"),
    (base, "events", "'events' is not NAME=WEIGHT"),
    (base, "events=-1", "-1 is not 0.0 to 10.0"),
  ):
    arguments = ["generate", str(video), *out, "--checkpoint", str(folder)]
    try:
      code = cli.main([*arguments, "--strength", given])
    except SystemExit as error:  # argparse's own way out
      code = error.code
    assert code == 2
    assert message in capsys.readouterr().err


def test_masks_are_drawn_anew_at_every_visit(shards):
  """By the yard's schedule: never without, sometimes one box for the clip."""
  scenes = (stage.sample_scene(5, i, duration=1.5) for i in range(200))
  wave = next(
    yard_record.record(scene, heard=heard)
    for scene in scenes
    if (heard := yard_record.draw_heard(scene)) is not None
  )
  (record,) = encode.encode_records(
    [wave],
    encode_wave=encode.wave_encoder(release.load(tiny_release.folder())),
    texts=text.TextEncoder.load(),
    captions=2,
  )
  config = tiny("draw_an_audio", shards, "clip.window=48")
  preset = denoiser.DenoiserTask(config).of_preset
  made = [
    preset.example(record, np.random.default_rng(seed))["mask"]
    for seed in range(30)
  ]
  sizes = {int((one > 0).sum()) for one in made}
  assert len(sizes) > 10
  still = [np.ptp(one, axis=0).max() == 0 for one in made]
  assert 1 <= sum(still) < 30


def test_one_token_of_the_clip_has_no_order():
  """FoleyCrafter's frames; Smooth-Foley's own tell when they are."""
  rng = np.random.default_rng(0)
  inputs = {
    "frame_times": jnp.arange(6.0)[None] / 15.0,
    "pictures": jnp.asarray(rng.normal(size=(1, 6, 8)), jnp.float32),
    "events": jnp.zeros((1, 4, 2)),
    "timing": jnp.array([[0.0, 1.0]]),
    "valid": jnp.ones((1, 4), bool),
    "strengths": jnp.ones((1, 2)),
    "text_tokens": jnp.zeros((1, 3, 5)),
    "text_mask": jnp.ones((1, 3), bool),
  }
  reversed_ = {**inputs, "pictures": inputs["pictures"][:, ::-1]}
  for clip_wise, count in ((True, 1), (False, 6)):
    module = composed.Composed(
      composed.ComposedConfig(
        width=8,
        vector_width=8,
        places=(("text", "concat"), ("frames", "decoupled")),
        frames=frames_lib.FrameEncoderConfig(features=8),
        clip_wise=clip_wise,
      )
    )
    keep = jnp.ones((1, 6), bool)
    params = module.init(jax.random.key(0), inputs, keep)
    one, other = (
      module.apply(params, given, keep).streams["frames"].tokens
      for given in (inputs, reversed_)
    )
    assert one.shape == (1, count, 8)
    assert np.allclose(one, other, atol=1e-6) == clip_wise


def test_modules_that_do_not_fit_are_refused(base, trained, tmp_path, capsys):
  module = trained["sonicvision"].with_name("module")
  out = ["--out", str(tmp_path / "out")]
  for arguments, message in (
    ([str(trained["smooth_foley"]), "--module", str(module)], "another base"),
    ([str(base), *["--module", str(module)] * 2], "two modules for one place"),
    ([str(base), "--module", str(base)], "no module, but a release"),
    ([str(tiny_release.folder()), "--module", str(module)], "'composed' alone"),
  ):
    assert cli.main(["merge", *arguments, *out]) == 2
    assert message in capsys.readouterr().err
  assert not (tmp_path / "out").exists()


def grey(made, times) -> read.Frames:
  size = made.system.frame_size
  report = read.FrameReport(
    duration=1.2, fps=15.0, decoded=len(times), duplicated=0, missing=0
  )
  images = np.full((len(times), size, size, 3), 90, np.uint8)
  return read.Frames(times=times, images=images, report=report)


@pytest.mark.parametrize("row", ["vta_sam-o_plus_v", "draw_an_audio-loudness"])
def test_every_row_trains_and_generates(row, shards, tmp_path):
  made = generator_lib.Generator(train(tiny(row, shards), tmp_path))
  frames = grey(made, made.reader.frame_times(1.2))
  features = made.system.conditioner.config.features
  track = cues.Track(
    text="a bell" if "text" in features else None,
    events=events.Events(intervals=np.array([[0.2, 0.5]]))
    if "events" in features
    else None,
  )
  job = job_lib.Job(duration=1.2, frames=frames, track=track, seed=0)
  (wave,) = made.generate([job], made.settings)
  assert wave.shape == (round(1.2 * 44_100), 2)
  assert np.isfinite(wave).all()


def test_what_has_no_place_is_refused(base):
  made = generator_lib.Generator(base)
  for field, value in (
    ("events", events.Events(intervals=np.array([[0.2, 0.5]]))),
    ("reference", pathlib.Path("bell.wav")),
  ):
    job = job_lib.Job(
      duration=1.0, frames=None, track=cues.Track(**{field: value}), seed=0
    )
    with pytest.raises(errors.InputError, match=f"{field}: .* text alone"):
      made.generate([job], made.settings)


def test_a_base_of_another_size_is_named(base, shards):
  config = tiny("sonicvision", shards, f"base_from={base}", "denoiser.depth=3")
  task = denoiser.DenoiserTask(config)
  with pytest.raises(errors.InputError, match=r"has shape .* the model's is"):
    task.init(jax.random.key(0))
