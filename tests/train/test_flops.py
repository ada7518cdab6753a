from types import SimpleNamespace

import jax
import pytest

from biomatrix_jax.config import ModelConfig
from biomatrix_jax.train.flops import flops_per_token, peak_flops


def test_flops_of_the_published_model():
    """From the parameter count: 2,097,800,192, of which one table and the norms do no product."""
    model = ModelConfig()
    norms = 28 * (2 * 2048 + 2 * 128) + 2048
    products = 2_097_800_192 - 168_064 * 2048 - norms
    assert flops_per_token(model, 0) == 6 * products
    assert flops_per_token(model, 8192) == 6 * products + 12 * 28 * 8192 * 16 * 128


def test_a_tied_head_counts_like_an_untied_one():
    assert flops_per_token(ModelConfig(tied_embeddings=True), 64) == flops_per_token(
        ModelConfig(), 64
    )


@pytest.mark.parametrize(
    ("kind", "flops"),
    [
        ("TPU v4", 275e12),
        ("TPU v5 lite", 197e12),
        ("TPU v5p", 459e12),
        ("TPU v6 lite", 918e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA GB200", 2500e12),
    ],
)
def test_published_peaks_are_for_all_devices(kind, flops):
    device = SimpleNamespace(platform="other", device_kind=kind)
    assert peak_flops([device] * 4) == (4 * flops, "published")


def test_an_unknown_device_has_no_peak():
    assert peak_flops([SimpleNamespace(platform="gpu", device_kind="X1")]) == (None, "unknown")


def test_on_a_cpu_the_peak_is_measured_once_for_all_simulated_devices():
    peak = peak_flops(jax.devices())
    assert peak.source == "measured"
    assert 1e8 < peak.flops < 1e14
