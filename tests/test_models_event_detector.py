"""The event detector: against torch, its names, its loss, its statistics."""

import collections
import dataclasses
import functools
import os

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.torch
import sklearn.metrics
import torch
from torch import nn

from vta import errors
from vta.data import pictures
from vta.encoders import torch_file
from vta.interop import event_detector as names
from vta.interop import tables, trees
from vta.metrics import detection
from vta.models import batch_norm, event_detector
from vta.signals import events

# Of the largest value, everything in float32.
TOLERANCE = 1e-4
FULL = event_detector.EventDetectorConfig()
TINY = event_detector.EventDetectorConfig(
  widths=(4, 6), blocks=(1, 1), stem=3, hidden=5
)


class Factored(nn.Sequential):
  """torchvision's Conv2Plus1D, which never strides over time here."""

  def __init__(self, inputs, features, between, side=3, stride=1):
    half = side // 2
    super().__init__(
      nn.Conv3d(
        inputs,
        between,
        (1, side, side),
        stride=(1, stride, stride),
        padding=(0, half, half),
        bias=False,
      ),
      nn.BatchNorm3d(between),
      nn.ReLU(),
      nn.Conv3d(between, features, (3, 1, 1), padding=(1, 0, 0), bias=False),
    )


class Block(nn.Module):
  """torchvision's BasicBlock; both convolutions have one middle width."""

  def __init__(self, inputs, features, stride):
    super().__init__()
    between = (inputs * features * 3 * 3 * 3) // (inputs * 9 + 3 * features)
    self.conv1 = nn.Sequential(
      Factored(inputs, features, between, stride=stride),
      nn.BatchNorm3d(features),
      nn.ReLU(),
    )
    self.conv2 = nn.Sequential(
      Factored(features, features, between), nn.BatchNorm3d(features)
    )
    self.downsample = None
    if stride != 1 or inputs != features:
      self.downsample = nn.Sequential(
        nn.Conv3d(inputs, features, 1, stride=(1, stride, stride), bias=False),
        nn.BatchNorm3d(features),
      )

  def forward(self, x):
    beside = x if self.downsample is None else self.downsample(x)
    return torch.relu(self.conv2(self.conv1(x)) + beside)


class Trunk(nn.Module):
  """R(2+1)D under torchvision's names, without its classifier."""

  def __init__(self, sizes):
    super().__init__()
    first = sizes.widths[0]
    self.stem = nn.Sequential(
      *Factored(3, first, sizes.stem, side=7, stride=2),
      nn.BatchNorm3d(first),
      nn.ReLU(),
    )
    inputs = first
    for stage, width in enumerate(sizes.widths):
      blocks = []
      for i in range(sizes.blocks[stage]):
        blocks.append(Block(inputs, width, 2 if stage and not i else 1))
        inputs = width
      setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
    self.stages = len(sizes.widths)

  def forward(self, x):
    x = self.stem(x)
    for stage in range(self.stages):
      x = getattr(self, f"layer{stage + 1}")(x)
    return nn.functional.adaptive_avg_pool3d(x, (None, 1, 1))[..., 0, 0]


class Detector(nn.Module):
  """CondFoleyGen's VideoOnsetNet, under its names."""

  def __init__(self, sizes):
    super().__init__()
    self.net = nn.Module()
    self.net.model = Trunk(sizes)
    self.fc = nn.Sequential(
      nn.Linear(sizes.widths[-1], sizes.hidden),
      nn.ReLU(),
      nn.Linear(sizes.hidden, 1),
    )

  def forward(self, frames):
    x = frames.movedim(-1, 1).float() / 255.0
    for i, (mean, std) in enumerate(
      zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)
    ):
      x[:, i] = (x[:, i] - mean) / std
    return self.fc(self.net.model(x).transpose(1, 2))[..., 0]


def torch_detector(sizes):
  """Random weights and statistics, none of them the identity's."""
  torch.manual_seed(0)
  made = Detector(sizes).eval()
  for module in made.modules():
    if isinstance(module, nn.BatchNorm3d):
      for tensor in (module.running_var, module.weight):
        nn.init.uniform_(tensor, 0.5, 1.5)
      for tensor in (module.running_mean, module.bias):
        nn.init.normal_(tensor, std=0.2)
  return made


def make_frames(count=6, side=32, clips=2, seed=0):
  rng = np.random.default_rng(seed)
  return rng.integers(0, 256, (clips, count, side, side, 3), np.uint8)


def save(tensors, path):
  if path.suffix == ".safetensors":
    safetensors.torch.save_file(tensors, path)
  else:
    torch.save(tensors, path)
  return path


def apply(sizes, params, frames):
  network = event_detector.Network(sizes)
  run = jax.jit(lambda p, x: network.apply({"params": p}, x, training=False))
  return np.asarray(run(params, frames))


def test_full_width_equals_torch_and_goes_back_to_it(tmp_path):
  theirs = torch_detector(FULL)
  path = save(theirs.state_dict(), tmp_path / "detector.pth")
  params = names.read(path, FULL)
  frames = make_frames(count=5, side=24)
  ours = apply(FULL, params, frames)
  with torch.no_grad():
    expected = theirs(torch.tensor(frames)).numpy()
  error = np.abs(ours - expected).max() / np.abs(expected).max()
  print(f"relative error {error:.1e}")
  assert error <= TOLERANCE
  # Neither all alike nor one for each clip.
  assert np.ptp(expected, axis=1).min() > 10 * TOLERANCE

  held = trees.flatten(params)
  # torchvision's 31,505,325 without its classifier, and the head.
  learned = [
    x.size for n, x in held.items() if not n.endswith(batch_norm.STATISTICS)
  ]
  assert sum(learned) == 31_505_325 - 513 * 400 + 513 * 128 + 129
  for naming, prefix in (("condfoleygen", ""), ("torchvision", "net.model.")):
    back = dict(
      tables.to_theirs(
        list(names.rows(FULL, naming)), lambda name, _: np.asarray(held[name])
      )
    )
    wanted = {
      name.removeprefix(prefix): tensor
      for name, tensor in theirs.state_dict().items()
      if name.startswith(prefix) and not name.endswith("num_batches_tracked")
    }
    assert back.keys() == wanted.keys()
    for name, tensor in wanted.items():
      np.testing.assert_array_equal(back[name], tensor.numpy(), err_msg=name)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_trunk_s_classifier_is_left_out(tmp_path, suffix):
  theirs = torch_detector(TINY)
  trunk = {
    **theirs.net.model.state_dict(),
    "fc.weight": torch.ones(400, 6),
    "fc.bias": torch.ones(400),
  }
  params = names.read(save(trunk, tmp_path / f"kinetics{suffix}"), TINY)
  assert params.keys() == {"trunk"}
  whole = names.read(save(theirs.state_dict(), tmp_path / "x.pth"), TINY)
  assert whole.keys() == {"trunk", "hidden", "logit"}
  jax.tree.map(np.testing.assert_array_equal, params["trunk"], whole["trunk"])


class Touch:
  """Makes a folder when it is unpickled by who looks up what it asks for."""

  def __init__(self, path):
    self.path = path

  def __reduce__(self):
    return os.mkdir, (str(self.path),)


def test_a_training_run_s_checkpoint_is_read_without_trust(tmp_path):
  """FoleyCrafter's is of DataParallel, beside Adam's state and NumPy's rate."""
  theirs = torch_detector(TINY)
  state = {f"module.{name}": x for name, x in theirs.state_dict().items()}
  adam = {
    "state": {0: {"step": 7, "exp_avg": torch.ones(3)}},
    "param_groups": [{"lr": 1e-4 * np.cos(0.5), "params": [0]}],
  }
  whole = {"epoch": 3, "state_dict": state, "optimizer": adam}
  path = save(whole, tmp_path / "checkpoint.pth.tar")
  params = names.read(path, TINY)
  np.testing.assert_array_equal(
    params["logit"]["kernel"][:, 0], state["module.fc.2.weight"][0].numpy()
  )
  with pytest.raises(errors.InputError, match=r"it asks for numpy\S*\.scalar"):
    torch_file.read_tensors(path)
  trap = tmp_path / "trap"
  whole["called"] = Touch(trap)
  names.read(save(whole, path), TINY)
  state["module.called"] = whole.pop("called")
  with pytest.raises(errors.InputError, match="more than tensors"):
    names.read(save(whole, path), TINY)
  assert not trap.exists()
  torch.load(path, weights_only=False)
  assert trap.exists()


def test_a_wrong_checkpoint_is_refused_with_every_name(tmp_path):
  tensors = dict(torch_detector(TINY).state_dict())
  del tensors["fc.2.bias"]
  del tensors["net.model.layer2.0.conv2.1.running_var"]
  tensors["net.model.layer3.0.conv1.0.0.weight"] = torch.ones(2)
  tensors["net.model.stem.0.weight"] = torch.ones(3, 3, 1, 5, 7)
  tensors["net.model.layer2.0.downsample.1.bias"] = torch.ones(7)
  path = save(tensors, tmp_path / "wrong.safetensors")
  with pytest.raises(errors.InputError) as caught:
    names.read(path, TINY)
  assert caught.value.where == str(path)
  assert caught.value.message == (
    "5 tensors do not fit the model: fc.2.bias is missing; "
    "net.model.layer2.0.conv2.1.running_var is missing; "
    "net.model.layer3.0.conv1.0.0.weight is unknown; "
    "net.model.stem.0.weight has shape (3, 3, 1, 5, 7), the model's is "
    "(3, 3, 1, 7, 7); "
    "net.model.layer2.0.downsample.1.bias has shape (7,), the model's is (6,)"
  )


def test_training_and_its_gradient_equal_torch_s(tmp_path):
  """By the batch's own statistics; the population's get no gradient."""
  theirs = torch_detector(TINY).train()
  params = names.read(save(theirs.state_dict(), tmp_path / "x.pth"), TINY)
  frames = jnp.asarray(make_frames(clips=3))
  network = event_detector.Network(TINY)

  def total(params, training):
    made = network.apply({"params": params}, frames, training=training)
    return jnp.sum(made**2)

  value, slopes = jax.jit(jax.value_and_grad(total), static_argnums=1)(
    params, True
  )
  expected = (theirs(torch.tensor(np.asarray(frames))) ** 2).sum()
  expected.backward()
  np.testing.assert_allclose(value, expected.item(), rtol=1e-4)
  slopes = trees.flatten(slopes)
  gradients = dict(theirs.named_parameters())
  for row in names.rows(TINY, "condfoleygen"):
    slope = row.layout.theirs(np.asarray(slopes[row.ours]))
    if row.theirs in gradients:
      right = gradients[row.theirs].grad.numpy()
      np.testing.assert_allclose(
        slope, right, atol=2e-3 * np.abs(right).max(), err_msg=row.ours
      )
    else:
      assert not slope.any(), row.ours


def test_no_gradient_reaches_the_population_in_evaluation_either():
  norm = batch_norm.BatchNorm()
  x = jax.random.normal(jax.random.key(0), (2, 3, 4)) + 1.0
  params = {n: jnp.ones(4) for n in ("scale", "bias", "mean", "variance")}
  slopes = jax.jit(
    jax.grad(lambda p: jnp.sum(norm.apply({"params": p}, x, training=False)))
  )(params)
  assert {n: bool(slope.any()) for n, slope in slopes.items()} == {
    "scale": True,
    "bias": True,
    "mean": False,
    "variance": False,
  }


def test_the_population_is_that_of_all_batches(tmp_path):
  """Against torch's activations, batch after batch, of every norm."""
  theirs = torch_detector(TINY).train()
  params = names.read(save(theirs.state_dict(), tmp_path / "x.pth"), TINY)
  batches = [make_frames(clips=3, seed=seed) // (seed + 1) for seed in range(4)]
  network = event_detector.Network(TINY)
  moments = jax.jit(
    lambda p, x: network.apply(
      {"params": p}, x, training=True, mutable=[batch_norm.MOMENTS]
    )[1][batch_norm.MOMENTS]
  )
  made = batch_norm.calibrated(params, (moments(params, b) for b in batches))

  seen = collections.defaultdict(list)
  for name, module in theirs.named_modules():
    if isinstance(module, nn.BatchNorm3d):
      module.register_forward_hook(
        lambda _, inputs, __, name=name: seen[name].append(
          inputs[0].detach().double().movedim(1, -1).flatten(0, -2)
        )
      )
  for batch in batches:
    theirs(torch.tensor(batch))
  flat, before = trees.flatten(made), trees.flatten(params)
  checked = 0
  for row in names.rows(TINY, "condfoleygen"):
    module, _, leaf = row.theirs.rpartition(".")
    if leaf in ("running_mean", "running_var"):
      every = torch.cat(seen[module])
      wanted = every.mean(0) if leaf == "running_mean" else every.var(0, False)
      np.testing.assert_allclose(
        flat[row.ours], wanted.numpy(), rtol=1e-4, atol=1e-5
      )
      checked += 1
    else:
      np.testing.assert_array_equal(flat[row.ours], before[row.ours])
  assert checked == 2 * 11
  with pytest.raises(ValueError, match="no batch"):
    batch_norm.calibrated(params, [])


def test_bfloat16_is_near_and_comes_out_in_float32(tmp_path):
  params = names.read(
    save(torch_detector(TINY).state_dict(), tmp_path / "x.pth"), TINY
  )
  frames = make_frames()
  plain = apply(TINY, params, frames)
  half = apply(dataclasses.replace(TINY, dtype="bfloat16"), params, frames)
  assert half.dtype == np.float32
  error = np.abs(half - plain).max() / np.abs(plain).max()
  assert 1e-5 < error < 0.1


def plain_weights(target, valid, event_weight):
  """A loop over the events of one clip."""
  weights, k = np.ones(len(target)), 0
  lengths = []
  while k < valid:
    end = k
    while end < valid and target[end]:
      end += 1
    if end > k:
      lengths.append((k, end))
    k = end + 1
  total = sum(end - k for k, end in lengths)
  for k, end in lengths:
    share = (end - k) / total
    weights[k:end] = {"duration": share, "inverse": 1 / share, "none": 1.0}[
      event_weight
    ]
  weights[valid:] = 0.0
  return weights * valid / weights.sum() if valid else weights


def make_targets():
  target = np.array(
    [
      [1, 1, 0, 0, 1, 0, 1, 1, 1, 1],  # three events, of both ends
      [0, 1, 0, 1, 1, 1, 0, 1, 1, 0],  # padded in its third
      [0] * 10,
      [1] * 10,  # one event, padded
      [1] * 10,  # all padding
    ],
    np.float32,
  )
  return target, np.array([10, 8, 10, 6, 0])


@pytest.mark.parametrize("event_weight", ["duration", "inverse", "none"])
def test_weights_are_shares_of_what_sounds(event_weight):
  target, valid = make_targets()
  mask = np.arange(10)[None] < valid[:, None]
  weights = functools.partial(
    event_detector.frame_weights, event_weight=event_weight
  )
  got = jax.jit(weights)(target, mask)
  want = [
    plain_weights(*row, event_weight) for row in zip(target, valid, strict=True)
  ]
  np.testing.assert_allclose(got, want, rtol=1e-5)
  np.testing.assert_allclose(got.sum(axis=1), valid, rtol=1e-5)
  if event_weight == "duration":
    # By hand: 2, 1 and 4 of 7 frames, and 3 of silence, sum to 21/7 + 3.
    third = 10 / (3 + 21 / 7)
    np.testing.assert_allclose(
      got[0, [0, 2, 4, 6]], third * np.array([2 / 7, 1, 1 / 7, 4 / 7]), 1e-5
    )


@pytest.mark.parametrize("event_weight", ["duration", "balanced"])
def test_loss_is_torch_s_on_valid_frames(event_weight):
  target, valid = make_targets()
  mask = np.arange(10)[None] < valid[:, None]
  logits = np.random.default_rng(0).normal(size=target.shape, scale=3.0)
  logits = logits.astype(np.float32)
  on_valid = [torch.tensor(x[mask]) for x in (logits, target)]
  if event_weight == "balanced":
    ones = on_valid[1].sum()
    theirs = nn.functional.binary_cross_entropy_with_logits(
      *on_valid, pos_weight=(len(on_valid[1]) - ones) / ones
    )
  else:
    rows = zip(target, valid, strict=True)
    weight = np.stack([plain_weights(*row, event_weight) for row in rows])
    theirs = nn.functional.binary_cross_entropy_with_logits(
      *on_valid, weight=torch.tensor(weight[mask])
    )

  @jax.jit
  @jax.value_and_grad
  def value(logits, target, mask):
    return event_detector.loss(logits, target, mask, event_weight=event_weight)

  ours, slope = value(logits, target, mask)
  np.testing.assert_allclose(ours, theirs.item(), rtol=1e-5)
  np.testing.assert_array_equal(slope != 0, mask)
  for array in (logits, target):
    array[~mask] = np.nan
  again, same = value(logits, target, mask)
  assert again == ours
  np.testing.assert_array_equal(same, slope)
  assert value(logits, target, np.zeros_like(mask))[0] == 0.0


def test_sizes_that_make_no_network():
  with pytest.raises(ValueError, match="2 widths for 1 stages"):
    event_detector.EventDetectorConfig(widths=(4, 8), blocks=(1,))
  with pytest.raises(ValueError, match="must be 1 or more"):
    event_detector.EventDetectorConfig(stem=0)


def test_average_precision_is_scikit_learn_s():
  rng = np.random.default_rng(0)
  for count in (1, 7, 200):
    score = rng.integers(0, 9, count) / 4.0  # with ties
    target = rng.random(count) < 0.3
    target[0] = True
    np.testing.assert_allclose(
      detection.average_precision(target, score),
      sklearn.metrics.average_precision_score(target, score),
      rtol=1e-12,
    )
  assert detection.average_precision(np.zeros(3), np.arange(3.0)) == 0.0


def test_pictures_are_shown_cut_and_lit_as_one():
  stamps = np.float32(np.arange(30) / 15).astype(np.float64)
  at = pictures.shown(stamps, np.array([-1.0, 0.0, 1 / 15, 0.19, 29 / 15, 9]))
  np.testing.assert_array_equal(at, [0, 0, 1, 2, 29, 29])
  frames = np.repeat(make_frames(count=1, side=9, clips=1)[0], 3, axis=0)
  middle = pictures.crop(frames, 6)
  np.testing.assert_array_equal(middle, frames[:, 1:7, 1:7])
  cut = [pictures.crop(frames, 6, np.random.default_rng(i)) for i in range(9)]
  assert len({x.tobytes() for x in cut}) > 5
  lit = pictures.jitter(frames, np.random.default_rng(0), strength=0.1)
  for made in (*cut, lit):
    np.testing.assert_array_equal(made, made[:1].repeat(3, axis=0))
  change = lit.astype(float).mean() / frames.mean()
  assert 0.9 < change < 1.1
  assert abs(change - 1.0) > 0.01
  same = pictures.jitter(frames, np.random.default_rng(0), strength=0.0)
  np.testing.assert_array_equal(same, frames)
  hidden = pictures.masked(frames, (frames[..., 0] > 99).astype(np.uint8))
  shown = frames[..., 0] > 99
  np.testing.assert_array_equal(hidden[shown], frames[shown])
  assert (hidden[~shown] == 127).all()
  with pytest.raises(ValueError, match="no square of 10"):
    pictures.crop(frames, 10)


def test_tidied_closes_gaps_before_it_drops_blips():
  def make(*pairs):
    return events.Events(intervals=np.array(pairs, float).reshape(-1, 2))

  some = make((0, 0.05), (0.2, 0.25), (0.45, 0.5), (1, 1.1), (2, 2.09), (3, 4))
  # 0.2 s of silence and 0.1 s of sound are long enough.
  assert some.tidied() == make((0, 0.25), (1, 1.1), (3, 4))
  assert some.tidied(gap=0.0, shortest=0.0) == some
  assert some.tidied(gap=9, shortest=1) == make((0, 4))
  assert make().tidied() == make()


def test_all_leaves_are_paths_of_the_table():
  for sizes in (FULL, TINY):
    held = flax.traverse_util.flatten_dict(names.like(sizes), sep="/")
    rows = list(names.rows(sizes, "condfoleygen"))
    assert sorted(row.ours for row in rows) == sorted(held)
