"""Spectral losses against auraloss, the discriminator against torch."""

import auraloss
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from vta.models import discriminator, spectral
from vta.models.discriminator import Discriminator, DiscriminatorConfig


def _stereo(seed, *, scale=0.1, length=9_000):
  rng = np.random.default_rng(seed)
  fade = np.exp(-np.linspace(0, 12, length))[None, :, None]
  wave = rng.normal(size=(3, length, 2)) * fade
  wave[..., 1] = 0.8 * wave[..., 0] + 0.3 * wave[..., 1]
  return jnp.asarray(scale * wave, jnp.float32)


def _torch(wave):
  return torch.tensor(np.asarray(wave)).transpose(1, 2).contiguous()


@pytest.mark.parametrize("n_fft", [32, 128, 256, 1024])
@pytest.mark.parametrize("centre", [True, False])
def test_stft_is_torchs(n_fft, centre):
  wave = _stereo(0)[..., 0]
  theirs = torch.stft(
    torch.tensor(np.asarray(wave)),
    n_fft,
    n_fft // 4,
    window=torch.hann_window(n_fft),
    center=centre,
    return_complex=True,
  ).numpy()
  ours = spectral.stft(wave, n_fft, hop=n_fft // 4, centre=centre)
  np.testing.assert_allclose(ours, theirs.transpose(0, 2, 1), atol=3e-5)


def test_a_weighting_filter_is_auralosss():
  theirs = auraloss.perceptual.FIRFilter(filter_type="aw", fs=44_100)
  taps = theirs.fir.weight.data.numpy().ravel()
  np.testing.assert_allclose(spectral.a_weighting(), taps, atol=1e-6)
  wave = _stereo(1)[..., 0]
  want, _ = theirs(*[torch.tensor(np.asarray(wave))[:, None]] * 2)
  ours = spectral.filter_symmetric(wave, spectral.a_weighting())
  np.testing.assert_allclose(ours, want[:, 0].numpy(), atol=2e-6)


@pytest.mark.parametrize(
  ("ffts", "weighted"), [(spectral.FFTS, True), ((512, 128), False)]
)
def test_multi_resolution_is_auralosss_with_its_gradient(ffts, weighted):
  x, y = _stereo(2), _stereo(3, scale=0.2)
  settings = {
    "fft_sizes": list(ffts),
    "hop_sizes": [n // 4 for n in ffts],
    "win_lengths": list(ffts),
    "sample_rate": 44_100,
    "perceptual_weighting": weighted,
  }
  stereo = auraloss.freq.SumAndDifferenceSTFTLoss(**settings)
  mono = auraloss.freq.MultiResolutionSTFTLoss(**settings)
  a, b = _torch(x).requires_grad_(), _torch(y)
  want = stereo(a, b)
  for channel in (slice(0, 1), slice(1, 2)):
    want = want + 0.5 * mono(
      a[:, channel].contiguous(), b[:, channel].contiguous()
    )
  want.backward()
  weighting = spectral.a_weighting() if weighted else None

  def loss(x, y):
    return spectral.multi_resolution(x, y, ffts=ffts, weighting=weighting)

  value, gradient = jax.jit(jax.value_and_grad(loss))(x, y)
  np.testing.assert_allclose(value, want.item(), rtol=1e-5)
  theirs = a.grad.numpy().transpose(0, 2, 1)
  error = np.linalg.norm(gradient - theirs) / np.linalg.norm(theirs)
  # Bins at the floor flip between no gradient and a large one by rounding.
  assert error < 1e-2


def test_gradients_are_finite_at_silence_and_at_the_target():
  y = _stereo(4).at[1].set(0)

  @jax.jit
  @jax.value_and_grad
  def loss(x, y):
    return spectral.multi_resolution(x, y, ffts=(256, 64))

  for scale in (0.0, 1.0, 1.5):
    value, gradient = loss(y * scale, y)
    assert (value < 1e-5) == (scale == 1)
    assert np.all(np.isfinite(gradient))


class _TorchScale(torch.nn.Module):
  """EnCodec's STFT discriminator, written again from its description."""

  def __init__(self, params, n_fft):
    super().__init__()
    self.params, self.n_fft = params, n_fft

  def _conv(self, x, name, **options):
    p = {k: torch.tensor(np.asarray(v)) for k, v in self.params[name].items()}
    if "v" in p:
      norm = p["v"].pow(2).sum((0, 1, 2)).sqrt()
      kernel = p["v"] * (p["g"] / norm)
    else:
      kernel = p["kernel"]
    kernel = kernel.permute(3, 2, 0, 1)
    return torch.nn.functional.conv2d(x, kernel, p["bias"], **options)

  def forward(self, wave):
    window = torch.hann_window(self.n_fft)
    batch, channels, length = wave.shape
    z = torch.stft(
      wave.reshape(-1, length),
      self.n_fft,
      self.n_fft // 4,
      window=window,
      center=False,
      return_complex=True,
    )
    z = z.reshape(batch, channels, *z.shape[1:]) / window.pow(2).sum().sqrt()
    z = torch.cat([z.real, z.imag], dim=1).transpose(2, 3)
    features = []
    layers = [("conv_0", {"padding": (1, 4)})]
    for i, d in enumerate((1, 2, 4)):
      options = {"padding": (d, 4), "stride": (1, 2), "dilation": (d, 1)}
      layers.append((f"conv_{i + 1}", options))
    layers.append(("conv_4", {"padding": (1, 1)}))
    for name, options in layers:
      z = torch.nn.functional.leaky_relu(self._conv(z, name, **options), 0.2)
      features.append(z)
    return self._conv(z, "conv_post", padding=(1, 1)), features


def test_discriminator_and_losses_are_encodecs():
  ffts = (256, 64)
  critic = Discriminator(DiscriminatorConfig(filters=6, ffts=ffts))
  real, fake = _stereo(5, length=2_000), _stereo(6, length=2_000)
  params = jax.jit(critic.init)(jax.random.key(0), real)["params"]
  rng = np.random.default_rng(7)
  params = jax.tree.map(
    lambda p: p + 0.1 * rng.normal(size=p.shape).astype(np.float32), params
  )
  judge = jax.jit(critic.apply)
  ours = [judge({"params": params}, wave) for wave in (real, fake)]
  theirs = [
    [_TorchScale(params[f"scale_{n}"], n)(_torch(wave)) for n in ffts]
    for wave in (real, fake)
  ]
  for judged, wanted in zip(ours, theirs, strict=True):
    for scale, (score, features) in zip(judged, wanted, strict=True):
      np.testing.assert_allclose(
        scale.score, score.permute(0, 2, 3, 1), atol=1e-5
      )
      assert len(scale.features) == 5
      for a, b in zip(scale.features, features, strict=True):
        np.testing.assert_allclose(a, b.permute(0, 2, 3, 1), atol=1e-5)

  real_scales, fake_scales = theirs
  hinge = adversarial = matching = 0.0
  for (r, r_maps), (f, f_maps) in zip(real_scales, fake_scales, strict=True):
    hinge += torch.relu(1 - r).mean() + torch.relu(1 + f).mean()
    adversarial -= f.mean()
    gaps = [(a - b).abs().mean() for a, b in zip(r_maps, f_maps, strict=True)]
    matching += sum(gaps) / len(gaps)
  for value, want in (
    (discriminator.discriminator_loss(*ours), hinge / 2),
    (discriminator.generator_loss(ours[1]), adversarial / 2),
    (discriminator.feature_matching(*ours), matching / 2),
  ):
    np.testing.assert_allclose(value, want.item(), rtol=1e-4)


def test_scores_follow_published_geometry():
  critic = Discriminator(DiscriminatorConfig())
  wave = jax.ShapeDtypeStruct((1, 65_536, 2), jnp.float32)
  key = jax.random.key(0)

  def scores(wave):
    judged, _ = critic.init_with_output(key, wave)
    return [scale.score for scale in judged]

  # Frames without padding; frequencies halved, rounding up, three times.
  want = [
    (1, (65_536 - n) // (n // 4) + 1, n // 16 + 1, 1)
    for n in (2048, 1024, 512, 256, 128)
  ]
  assert [s.shape for s in jax.eval_shape(scores, wave)] == want
