"""Estimates pi by throwing darts, saves how far it came, and goes on from there.

What it does for `suspend: checkpoint`, in three places marked below: it loads what an earlier
start saved, saves when it is asked to end, and saves now and then in case nobody can ask. The
result is the same however often it was interrupted, because the state of its dice is saved too.
"""

import json
import os
import pathlib
import random
import signal
import sys

DARTS = int(os.environ.get("DARTS", "3000000"))
ROUND = 50_000

# Without Weft: beside the program.
folder = pathlib.Path(os.environ.get("WEFT_CHECKPOINT_DIR", "."))
checkpoint = folder / "checkpoint.json"

asked_to_end = False


def end(_signal, _frame):
    global asked_to_end
    asked_to_end = True


def save(done, hits, dice):
    # Never half a checkpoint: written beside the last one, brought to the disk, then renamed.
    new = folder / "checkpoint.new"
    with open(new, "w") as file:
        json.dump({"done": done, "hits": hits, "dice": dice.getstate()}, file)
        file.flush()
        os.fsync(file.fileno())
    new.rename(checkpoint)


def load():
    dice = random.Random(42)
    if not checkpoint.exists():
        return 0, 0, dice
    saved = json.loads(checkpoint.read_text())
    version, numbers, gauss = saved["dice"]
    dice.setstate((version, tuple(numbers), gauss))
    return saved["done"], saved["hits"], dice


# 1. Be told before the kill: from now on there is `stop_grace` to save.
signal.signal(signal.SIGTERM, end)

# 2. Go on from what an earlier start saved.
done, hits, dice = load()
print(f"start {os.environ.get('WEFT_ATTEMPT', '1')}: {done} of {DARTS} darts thrown before", flush=True)

while done < DARTS:
    for _ in range(min(ROUND, DARTS - done)):
        hits += dice.random() ** 2 + dice.random() ** 2 <= 1
    done = min(done + ROUND, DARTS)
    # 3. Save after each round, and stop after the one in which it was asked to.
    save(done, hits, dice)
    if asked_to_end and done < DARTS:
        print(f"saved after {done} darts", flush=True)
        sys.exit(0)

print(f"pi is about {4 * hits / done:.6f}", flush=True)
pathlib.Path("pi.json").write_text(json.dumps({"darts": done, "pi": 4 * hits / done}) + "\n")
if "WEFT_CHECKPOINT_DIR" in os.environ:
    # Ending with 0 after the request means "saved"; this says that it is the end.
    (folder / "finished").touch()
