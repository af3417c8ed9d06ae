# Trains without end on the part of a GPU it was given; takes all of its memory when it is told to,
# and goes on when it has been refused more.
import os
import torch

total = torch.cuda.mem_get_info()[1]
print("sees", total >> 20, flush=True)
model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 8)).cuda()
optimizer = torch.optim.AdamW(model.parameters())


def step():
    optimizer.zero_grad()
    with torch.autocast("cuda", dtype=torch.bfloat16):
        loss = model(torch.randn(32, 64, device="cuda")).square().mean()
    loss.backward()
    optimizer.step()
    torch.cuda.synchronize()


def fill():
    held = []
    try:
        while True:
            held.append(torch.empty(1 << 28, dtype=torch.uint8, device="cuda"))
    except torch.OutOfMemoryError as error:
        print("took", len(held), "quarters of a GiB, and then:", str(error).split(".")[0], flush=True)


steps, filled = 0, False
while not os.path.exists("/work/go"):
    step()
    steps += 1
    if steps % 10 == 0:
        print("steps", steps, flush=True)
    if not filled and os.path.exists("/work/fill"):
        fill()
        torch.cuda.empty_cache()
        filled = True
print("trained", flush=True)
