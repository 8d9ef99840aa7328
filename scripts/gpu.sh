#!/usr/bin/env bash
# Everything that a GPU can show, on a machine with a GPU, nvcc and CMake; Node and npm may be missing, and the network.
#
#   scripts/gpu.sh pack       where Node and the packages are: writes .gpu/kit.tar.xz, to be carried along where they are not
#   scripts/gpu.sh build      the addon for this machine's GPU; unpacks the kit first where there is no Node
#   scripts/gpu.sh check      doctor, the suite on the GPU, and the op suite once more as on a GPU of four multiprocessors
#   scripts/gpu.sh bench      figures, side by side with PyTorch's where Python has it; goes on where it was cut off
#   scripts/gpu.sh sanitize   compute-sanitizer's memcheck and racecheck on the op suite
#   scripts/gpu.sh all        these four, in that order; only a build that fails stops the rest
#
# Every stage but `all` ends within ten minutes, and builds first where that has not been done. Logs and figures go to
# $OUT, by default bench/results. CAPABILITY=90 builds on a machine without a GPU.
set -uo pipefail
cd "$(dirname "$0")/.."
stage=${1:-all}
out=${OUT:-bench/results}
kit=.gpu/kit.tar.xz

say() { printf '\n== %s\n' "$*"; }
fail() { echo "gpu.sh: $*" >&2; exit 1; }
# Runs a command for at most so many seconds.
within() {
  local seconds=$1 status=0
  shift
  timeout --kill-after=10 "$seconds" "$@" || status=$?
  if [[ $status == 124 || $status == 137 ]]; then echo "gpu.sh: not finished after $seconds s: ${*: -3}" >&2; fi
  return $status
}
# What the kit's dist was compiled from.
sources() { find lib scripts -name '*.ts' -type f -print0 | sort -z | xargs -0 cat | cksum; }

# --- the kit: Node itself, dist, and the packages but for those that no stage uses -----------------------------------

pack() {
  npm run build:ts || fail "the TypeScript does not compile"
  rm -rf .gpu/pack
  mkdir -p .gpu/pack/build/kit
  cp "$(node -p process.execPath)" .gpu/pack/build/kit/node
  strip .gpu/pack/build/kit/node
  sources >.gpu/pack/build/kit/sources
  local unused=()
  for name in @ai-sdk @types @typescript ai playwright-core typescript; do
    unused+=(--exclude="node_modules/$name")
  done
  tar -cf - --exclude='*.map' --exclude='*.md' --exclude='*.d.*ts' "${unused[@]}" dist node_modules -C .gpu/pack build/kit |
    xz -T0 -4 >$kit || fail "the kit could not be written"
  rm -rf .gpu/pack
  say "$kit: $(($(stat -c %s $kit) >> 20)) MiB"
}

unpack() {
  if [[ ! -f build/kit/unpacked || $kit -nt build/kit/unpacked ]]; then
    [[ -f $kit ]] || fail "there is no Node here and no $kit: run 'scripts/gpu.sh pack' where Node is, and carry that file along"
    rm -rf build/kit dist node_modules
    # Python unpacks it where tar finds no xz.
    tar -xf $kit 2>/dev/null || python3 -c "import tarfile; tarfile.open('$kit').extractall()" || fail "$kit could not be unpacked"
    touch build/kit/unpacked
  fi
  [[ $(sources) == "$(cat build/kit/sources)" ]] || fail "$kit was packed from other sources: pack it again"
  PATH=$PWD/build/kit:$PATH
}

# --- stages ----------------------------------------------------------------------------------------------------------

build() {
  if [[ -z ${CAPABILITY:-} ]]; then
    command -v nvidia-smi >/dev/null || fail "nvidia-smi was not found: there is no GPU here"
    CAPABILITY=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d .) || fail "nvidia-smi found no GPU"
    nvidia-smi --query-gpu=name,driver_version,clocks.max.sm,clocks.sm,power.limit,memory.total --format=csv
  fi
  [[ $CAPABILITY == 90 ]] && CAPABILITY=90a
  # The two kinds of kernels that the code has: on Hopper and later machines, both can be run and compared.
  local archs="80-real;$CAPABILITY-real"
  [[ $CAPABILITY == 80 ]] && archs=80-real
  # A folder of its own: a clone's build keeps its settings.
  cmake -S . -B build/gpu -DCMAKE_BUILD_TYPE=Release -DCMAKE_CUDA_ARCHITECTURES="$archs" >build/cmake.log || {
    cat build/cmake.log
    return 1
  }
  if grep 'nvcc not found' build/cmake.log; then return 1; fi
  within 560 cmake --build build/gpu --parallel "$(nproc)" --target helvetia
}

check() {
  local status=0
  say "doctor"
  within 120 node dist/lib/cli/index.js doctor --device cuda || status=1
  say "suite on the GPU"
  within 280 node node_modules/vitest/vitest.mjs run --project cuda || status=1
  # Four multiprocessors make persistent kernels walk over several tiles, and small products take wgmma and clusters.
  say "op suite, as on four multiprocessors"
  HELVETIA_PROCESSORS=4 within 160 node node_modules/vitest/vitest.mjs run --project cuda test/ops || status=1
  return $status
}

bench() { within 580 node bench/gpu.mjs --out "$out" --seconds 540; }

sanitize() {
  command -v compute-sanitizer >/dev/null || {
    echo "gpu.sh: compute-sanitizer was not found: NOT checked for memory errors and races" >&2
    return 1
  }
  local status=0
  for tool in memcheck racecheck; do
    say "compute-sanitizer $tool on the op suite"
    # Tests that ask for too much memory make API errors on purpose.
    within 280 compute-sanitizer --tool $tool --report-api-errors no --error-exitcode 9 --target-processes all \
      node node_modules/vitest/vitest.mjs run --project cuda test/ops --testTimeout 280000 || status=1
  done
  return $status
}

# --- which -----------------------------------------------------------------------------------------------------------

case $stage in
  pack) pack && exit ;;
  build | check | bench | sanitize) stages=$stage ;;
  all) stages="build check bench sanitize" ;;
  *) fail "what is '$stage'? pack, build, check, bench, sanitize or all" ;;
esac
mkdir -p "$out" build
command -v node >/dev/null || unpack
[[ -f dist/lib/index.js ]] || npm run build:ts || fail "the TypeScript does not compile"
command -v nvcc >/dev/null || PATH=$PATH:/usr/local/cuda/bin
for tool in nvcc cmake; do command -v $tool >/dev/null || fail "$tool was not found"; done
[[ $stages == build* || -f build/gpu/CMakeCache.txt && -f build/Release/helvetia.node ]] || stages="build $stages"

failed=
for stage in $stages; do
  say "$stage ($(date +%T))"
  if $stage 2>&1 | tee "$out/$stage.log"; then continue; fi
  failed+=" $stage"
  [[ $stage == build ]] && break
done
[[ -z $failed ]] || fail "failed:$failed"
say "done: $stages"
