#!/usr/bin/env bash
# Everything that a GPU can show, in one command, on a machine with a GPU, nvcc and CMake:
#
#   scripts/gpu.sh [all | check | bench]          (default: all; results go to bench/results/<gpu>.json, or to $OUT)
#
# Builds for this machine's GPU, runs the suite for real, compute-sanitizer's memcheck and racecheck on the op suite,
# `doctor --device cuda`, and then the benchmarks, side by side with PyTorch in one run where Python has it.
#
# Node's binary and node_modules may be carried along: NODE_TAR=node.tar.xz is unpacked and put first on the PATH.
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-all}
out=${OUT:-bench/results}
mkdir -p "$out"

say() { printf '\n== %s\n' "$*"; }

if [[ -n ${NODE_TAR:-} ]]; then
  mkdir -p build/node
  tar -xf "$NODE_TAR" -C build/node
  PATH=$(dirname "$(find "$PWD/build/node" -name node -type f -perm -u+x | head -n 1)"):$PATH
fi
command -v nvcc >/dev/null || PATH=$PATH:/usr/local/cuda/bin
for tool in node nvcc cmake nvidia-smi; do
  command -v $tool >/dev/null || { echo "gpu.sh: $tool was not found" >&2; exit 1; }
done

say "machine"
nvidia-smi --query-gpu=name,driver_version,clocks.max.sm,clocks.sm,power.limit,memory.total --format=csv
node --version

say "build"
capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d .)
[[ $capability == 90 ]] && capability=90a
# The two kinds of kernels that the code has: on Hopper and later machines, both can be run and compared.
node_modules/.bin/cmake-js build --out build/cmake --config Release --parallel "$(nproc)" \
  --CDCMAKE_CUDA_ARCHITECTURES="80;${capability}-real"
npm run build:ts

if [[ $what != bench ]]; then
  say "doctor"
  node dist/lib/cli/index.js doctor --device cuda
  say "suite on the GPU"
  node_modules/.bin/vitest run --project cuda
  if command -v compute-sanitizer >/dev/null; then
    for tool in memcheck racecheck; do
      say "compute-sanitizer $tool"
      compute-sanitizer --tool $tool --error-exitcode 9 --target-processes all \
        node dist/lib/cli/index.js doctor --device cuda | tail -n 20
    done
  fi
fi

if [[ $what != check ]]; then
  say "benchmarks"
  node bench/gpu.mjs --out "$out"
fi
