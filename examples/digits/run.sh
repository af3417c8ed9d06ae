#!/bin/sh
# From raw data to a model that says where it comes from; compiles Weft the first time.
set -eu
cd "$(dirname "$0")"
cargo build --release --package weft
weft() { cargo run --quiet --release --package weft -- "$@"; }

weft data put data digits              # encrypted, and version 1
weft run train.weft.yaml               # reads that version, leaves digits-model@v1
weft data lineage digits-model         # the model, the run, the data
