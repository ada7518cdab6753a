import pytest

from biomatrix_jax.chips import find_chip


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("TPU v4", "v4"),
        ("TPU v4 lite", "v4i"),
        ("TPU v5 lite", "v5e"),
        ("TPU v5", "v5p"),
        ("TPU v5p", "v5p"),
        ("TPU v6 lite", "v6e"),
        ("TPU7x", "7x"),
        ("NVIDIA A100-SXM4-40GB", "A100 40GB"),
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H100 PCIe", "H100 PCIe"),
        ("NVIDIA A100 80GB PCIe", "A100 PCIe"),
        ("NVIDIA GH200 480GB", "GH200"),
        ("NVIDIA GH200 144G HBM3e", "GH200 144GB"),
        ("NVIDIA H200 NVL", "H200 NVL"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA B200", "B200"),
        ("NVIDIA GB200", "GB200"),
    ],
)
def test_a_device_is_known_by_its_kind(kind, name):
    assert find_chip(kind).name == name


def test_an_unknown_device_is_none():
    assert find_chip("cpu") is None


def test_a_part_of_a_gpu_is_none():
    assert find_chip("NVIDIA H100 80GB HBM3 MIG 1g.10gb") is None


def test_a_tpus_links_make_its_published_interconnect():
    """Gbit/s of a chip in one direction: v5e 1,600, v5p 4,800, v6e 3,200."""
    for kind, gigabits in {"TPU v5e": 1600, "TPU v5p": 4800, "TPU v6e": 3200}.items():
        chip = find_chip(kind)
        assert 2 * chip.torus * chip.link_bytes_per_second * 8 / 1e9 == gigabits


def test_a_program_may_not_take_all_of_a_chips_memory():
    for kind in ("TPU v5e", "TPU v5p", "TPU v6e", "TPU7x"):
        chip = find_chip(kind)
        assert 0.97 < chip.usable_bytes / chip.hbm_bytes < 1
