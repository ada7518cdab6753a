"""The weights that MolStrucTok published, under our names."""

from pathlib import Path

import numpy as np

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.molecule.vqvae import VQVAEConfig, Weights
from biomatrix_jax.structure.molecule.weights import unflatten
from biomatrix_jax.torch_file import read_tensors

CODEBOOK = "quantizer.embedding.weight"
PERCEPTRONS = {
    "encoder": "encoder",
    "heads.length": "multi_head_decoder.gen_len_branch",
    "heads.angle": "multi_head_decoder.gen_ang_branch",
    "heads.torsion": "multi_head_decoder.gen_tor_branch",
    "heads.sign": "multi_head_decoder.sign_branch",
}
# Inside a perceptron, PyTorch numbers the layers of a Sequential, ReLUs included.
LAYERS = {
    "linear_0": "0",
    "norm_0": "1",
    "linear_1": "3",
    "norm_1": "4",
    "linear_2": "6",
}
LINEAR = {"weight": "weight", "bias": "bias"}
NORM = {"scale": "weight", "bias": "bias", "mean": "running_mean", "variance": "running_var"}

# Left in the file by an earlier decoder and by training; nothing computes with them.
LEFTOVERS = ("decoder.", "mu.", "sign_head.", "quantizer.ema_")
COUNTER = ".num_batches_tracked"


def read_released(path: str | Path) -> tuple[VQVAEConfig, Weights]:
    """Reads the published `.bin` file; the sizes follow from the shapes in it.

    Raises:
      BadInput: not a file of plain tensors, or not exactly the tensors of this network.
    """
    tensors = read_tensors(path)
    for name in (CODEBOOK, "encoder.0.weight"):
        if name not in tensors or tensors[name].ndim != 2:
            raise BadInput(f"{path}: no matrix {name}: these are not weights of MolStrucTok")
    codes, latent = tensors[CODEBOOK].shape
    config = VQVAEConfig(codes=codes, hidden=len(tensors["encoder.0.weight"]), latent=latent)
    ours = _our_names()
    renamed: dict[str, np.ndarray] = {
        ours.get(name, name): tensor
        for name, tensor in tensors.items()
        if not name.startswith(LEFTOVERS) and not name.endswith(COUNTER)
    }
    return config, unflatten(renamed, config, str(path))


def _our_names() -> dict[str, str]:
    names = {CODEBOOK: "codebook"}
    for our_branch, their_branch in PERCEPTRONS.items():
        for our_layer, number in LAYERS.items():
            for ours, theirs in (NORM if our_layer.startswith("norm") else LINEAR).items():
                names[f"{their_branch}.{number}.{theirs}"] = f"{our_branch}.{our_layer}.{ours}"
    return names
