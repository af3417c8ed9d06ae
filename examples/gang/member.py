"""One member of a gang: adds up its share of the numbers below one million."""

import json
import os
import pathlib

LIMIT = 1_000_000

rank = int(os.environ["WEFT_RANK"])
size = int(os.environ["WEFT_WORLD_SIZE"])
total = sum(range(rank, LIMIT, size))
pathlib.Path("sum.json").write_text(json.dumps({"rank": rank, "of": size, "sum": total}) + "\n")
print(f"member {rank} of {size}: {total}", flush=True)
