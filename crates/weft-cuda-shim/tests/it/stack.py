"""What people do with PyTorch, a job a name: `stack.py <job>`. What is computed is not looked at:
the stand-in runs no device code. Prints the slice that was seen."""

import os
import sys

import torch
from torch import nn
from torch.nn.functional import cross_entropy

rank = int(os.environ.get("RANK", "0"))
device = torch.device("cuda", rank)


class Words(nn.Module):
    """A small transformer."""

    def __init__(self, wide=64, words=100):
        super().__init__()
        self.embed = nn.Embedding(words, wide)
        layer = nn.TransformerEncoderLayer(wide, 4, 2 * wide, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2)
        self.out = nn.Linear(wide, words)

    def forward(self, x):
        return self.out(self.layers(self.embed(x)))


def train(model, batch, amp=None):
    """Three steps of AdamW, in full or mixed precision."""
    scaler = torch.amp.GradScaler("cuda", enabled=amp is torch.float16)
    steps = torch.optim.AdamW(model.parameters())
    for _ in range(3):
        x, y = batch()
        steps.zero_grad()
        with torch.autocast("cuda", amp, enabled=amp is not None):
            loss = cross_entropy(model(x).flatten(0, -2), y.flatten())
        scaler.scale(loss).backward()
        scaler.step(steps)
        scaler.update()
        loss.item()


def transformer(amp=None):
    train(Words().to(device), lambda: (torch.zeros(4, 16, dtype=torch.long).to(device),) * 2, amp)


def labels():
    return torch.zeros(8, dtype=torch.long, device=device)


def convolutions():
    """cuDNN."""
    first = (nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU())
    then = (nn.Conv2d(16, 32, 3, stride=2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))
    model = nn.Sequential(*first, *then).to(device)
    train(model, lambda: (torch.zeros(8, 3, 32, 32, device=device), labels()))


def graph():
    model = Words().eval().to(device).requires_grad_(False)
    x, side = torch.zeros(4, 16, dtype=torch.long, device=device), torch.cuda.Stream()
    with torch.cuda.stream(side):
        model(x)
    torch.cuda.current_stream().wait_stream(side)
    captured = torch.cuda.CUDAGraph()
    with torch.cuda.graph(captured):
        out = model(x)
    for _ in range(3):
        captured.replay()
    out.cpu()


def compiled():
    """Triton: its compiler, the assembler in its package, a C compiler for what launches."""
    layers = (nn.Linear(64, 64), nn.GELU(), nn.LayerNorm(64), nn.Linear(64, 10))
    model = torch.compile(nn.Sequential(*layers).to(device))
    train(model, lambda: (torch.zeros(8, 64, device=device), labels()))


def algebra():
    """cuBLAS, cuSOLVER and cuSPARSE."""
    a = torch.eye(16, device=device)
    (a @ a).bfloat16() @ a.bfloat16()
    torch.linalg.cholesky(a), torch.linalg.solve(a, a), torch.linalg.svd(a)
    (a.to_sparse_csr() @ a).cpu()


def transforms():
    """cuFFT: sizes that it has code for, and one that is a prime."""
    image = torch.zeros(64, 64, device=device)
    torch.fft.irfft2(torch.fft.rfft2(image)).cpu()
    torch.fft.fft(torch.zeros(8, 1009, dtype=torch.complex64, device=device))
    torch.fft.fftn(torch.zeros(8, 8, 8, dtype=torch.complex128, device=device))


def moved():
    pinned = torch.zeros(1 << 20).pin_memory()
    for stream in [torch.cuda.Stream() for _ in range(3)]:
        with torch.cuda.stream(stream):
            pinned.copy_(pinned.to(device, non_blocking=True), non_blocking=True)
            stream.record_event().synchronize()


def ranks():
    """NCCL, one of two ranks."""
    import torch.distributed as dist

    meeting = "file://" + os.environ["MEETING"]
    dist.init_process_group("nccl", init_method=meeting, rank=rank, world_size=2)
    torch.cuda.set_device(device)
    x = torch.ones(1 << 20, device=device)
    dist.all_reduce(x)
    dist.broadcast(x, 0)
    dist.all_gather_into_tensor(torch.zeros(2 << 20, device=device), x)
    torch.cuda.synchronize()
    dist.destroy_process_group()


def limit():
    """As much as there is, then more: refused with PyTorch's own error, and then it goes on."""
    held = []
    try:
        while True:
            held.append(torch.empty(256 << 20, dtype=torch.uint8, device=device))
    except torch.OutOfMemoryError as error:
        print(len(held), error)
    held.clear()
    torch.cuda.empty_cache()
    torch.zeros(1 << 20, device=device)
    transformer()


JOBS = {
    "transformer": transformer,
    "bf16": lambda: transformer(torch.bfloat16),
    "fp16": lambda: transformer(torch.float16),
    "convolutions": convolutions,
    "graph": graph,
    "compiled": compiled,
    "algebra": algebra,
    "transforms": transforms,
    "moved": moved,
    "ranks": ranks,
    "limit": limit,
}
torch.manual_seed(0)
assert torch.cuda.is_available()
JOBS[sys.argv[1]]()
print(*torch.cuda.mem_get_info(device))
