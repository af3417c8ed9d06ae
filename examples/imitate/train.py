"""Trains a small network to imitate another one, on whatever part of a GPU it was given.

Says first what it sees: on a part of a device that is the part, and what it asks for beyond that is
refused as on a small device. Writes the weights (model/weights.pt).
"""

import os
import pathlib
import time

import torch

STEPS = int(os.environ.get("STEPS", "300"))
SECONDS = float(os.environ.get("SECONDS", "600"))
BATCH = 4096
WIDTH = 512


def network():
    """Two hidden layers from 64 values to 8."""
    layers = [torch.nn.Linear(64, WIDTH), torch.nn.GELU(), torch.nn.Linear(WIDTH, WIDTH)]
    return torch.nn.Sequential(*layers, torch.nn.GELU(), torch.nn.Linear(WIDTH, 8)).cuda()


def train(pupil, teacher):
    """So many steps of AdamW, or seconds; a line for each tenth of them."""
    optimizer = torch.optim.AdamW(pupil.parameters(), lr=1e-3)
    start = time.monotonic()
    for step in range(1, STEPS + 1):
        inputs = torch.randn(BATCH, 64, device="cuda")
        with torch.no_grad():
            wanted = teacher(inputs)
        loss = torch.nn.functional.mse_loss(pupil(inputs), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        torch.cuda.synchronize()
        passed = time.monotonic() - start
        if step % max(STEPS // 10, 1) == 0 or passed > SECONDS:
            print(f"step {step:4}  loss {loss.item():.5f}  {step / passed:.1f} steps/s", flush=True)
        if passed > SECONDS:
            return


def main():
    torch.manual_seed(7)
    total = torch.cuda.mem_get_info()[1]
    print(f"{torch.cuda.get_device_name(0)}, {total / 1e9:.1f} GB", flush=True)
    pupil, teacher = network(), network()
    train(pupil, teacher)
    pathlib.Path("model").mkdir(exist_ok=True)
    torch.save(pupil.state_dict(), "model/weights.pt")
    print("model written to model/")


main()
