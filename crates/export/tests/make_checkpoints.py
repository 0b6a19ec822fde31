"""Makes the files in `checkpoints/`: a small network for the digits, in all forms in which PyTorch saves networks.

    python3 make_checkpoints.py

Made with PyTorch 2.15.0. `evil.pt` runs a command when Python unpickles it.
"""

import os
import pathlib
import pickle

import torch
from safetensors.torch import save_file
from torch import nn

FOLDER = pathlib.Path(__file__).parent / "checkpoints"


class Evil:
    def __reduce__(self):
        return os.system, ("touch executed",)


torch.manual_seed(1)
network = nn.Sequential(nn.Linear(64, 6), nn.Tanh(), nn.Linear(6, 10))
state = network.state_dict()
torch.save(state, FOLDER / "state.pt")
torch.save(state, FOLDER / "legacy.pt", _use_new_zipfile_serialization=False)
torch.save(network, FOLDER / "module.pt")
torch.save({"epoch": 3, "model": {f"net.{name}": value for name, value in state.items()}}, FOLDER / "nested.pt")
torch.save({name: value.double() for name, value in state.items()}, FOLDER / "double.pt")
torch.save({name: value.half() for name, value in state.items()}, FOLDER / "half.pt")
torch.save(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Linear(64, 10)).state_dict(), FOLDER / "convolution.pt")
save_file(state, FOLDER / "state.safetensors")
with open(FOLDER / "evil.pt", "wb") as file:
    pickle.dump({"0.weight": Evil()}, file, protocol=2)
