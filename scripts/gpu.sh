#!/usr/bin/env bash
# Everything that a GPU can show, on a machine with a GPU, nvcc and CMake; Node and npm may be missing, and the network.
#
#   scripts/gpu.sh pack       where Node and the packages are: writes .gpu/kit.tar.xz, to be carried along where they are not
#   scripts/gpu.sh build      the addon for this machine's GPU; unpacks the kit first where there is no Node
#   scripts/gpu.sh check      doctor, the suite on the GPU, and the op suite once more as on a GPU of four multiprocessors
#   scripts/gpu.sh bench      figures, side by side with PyTorch's where Python has it; goes on where it was cut off
#   scripts/gpu.sh sanitize   compute-sanitizer's memcheck and racecheck on the op suite
#   scripts/gpu.sh all        these four, in that order; only a build that fails stops the rest
#   scripts/gpu.sh first      the most telling parts of these in 480 seconds; called again, it goes on where it was cut off:
#                             `first 240` in 240 seconds
#
# Every stage but `all` ends within ten minutes, and builds first where that has not been done. Logs and figures go to
# $OUT, by default bench/results. CAPABILITY=90 builds on a machine without a GPU. --dry-run behind the stage says what
# would run, and runs nothing.
set -uo pipefail
cd "$(dirname "$0")/.."
dry=
[[ ${*: -1} == --dry-run ]] && dry=yes && set -- "${@:1:$#-1}"
stage=${1:-all}
budget=${2:-480}
out=${OUT:-bench/results}
kit=.gpu/kit.tar.xz

vitest=(node node_modules/vitest/vitest.mjs run --project cuda)

say() { printf '\n== %s\n' "$*"; }
fail() { echo "gpu.sh: $*" >&2; exit 1; }
# Runs a command for at most so many seconds.
within() {
  local seconds=$1 status=0
  shift
  if [[ $dry ]]; then
    printf '%4d s  %s\n' "$seconds" "$*"
    return
  fi
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

# Whether this machine's Node and packages cannot be used: the addon and its tests need Node 20.19.
needs_kit() {
  [[ -f build/kit/unpacked || ! -d node_modules ]] && return
  ! node -e 'var v = process.versions.node.split("."); process.exit(v[0] > 20 || (v[0] == 20 && v[1] >= 19) ? 0 : 1)' 2>/dev/null
}

unpack() {
  if [[ ! -f build/kit/unpacked || $kit -nt build/kit/unpacked ]]; then
    [[ -f $kit ]] || fail "Node 20.19 or its packages are missing, and there is no $kit: run 'scripts/gpu.sh pack' where they are, and carry that file along"
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
  local generator='Unix Makefiles'
  if command -v ninja >/dev/null; then generator=Ninja; else command -v make >/dev/null || fail "neither ninja nor make was found"; fi
  grep -qsx "CMAKE_GENERATOR:INTERNAL=$generator" build/gpu/CMakeCache.txt || rm -rf build/gpu
  within 120 cmake -S . -B build/gpu -G "$generator" -DCMAKE_BUILD_TYPE=Release -DCMAKE_CUDA_ARCHITECTURES="$archs" >build/cmake.log || {
    cat build/cmake.log
    return 1
  }
  if [[ $dry ]]; then cat build/cmake.log; fi
  if grep 'nvcc not found' build/cmake.log; then return 1; fi
  within "${1:-440}" cmake --build build/gpu --parallel "$(nproc)" --target helvetia || return
  [[ $dry ]] || look
}

# What ptxas only mentions: serialised wgmma (C7510 to C7519), spills, and kernels of sm_90a that start with other registers
# than their setmaxnreg counts on, which leave wgmma to mma.sync. The addon works, so the run goes on and fails at its end.
look() {
  local logs
  mapfile -t logs < <(find build/gpu -name '*.ptxas')
  {
    grep -hE 'C75[0-9][0-9]|[1-9][0-9]* bytes spill' "${logs[@]}"
    awk '
      /Compiling entry function/ { kernel = /Hopper.*sm_90a/ ? $0 : "" }
      kernel && /Used [0-9]+ registers/ && !/Used 168 registers/ { print "not 168 registers: " kernel }
    ' "${logs[@]}"
  } | tee "$out/ptxas.txt"
  return 0
}

check() {
  local status=0
  say "doctor"
  within 120 node dist/lib/cli/index.js doctor --device cuda || status=1
  say "suite on the GPU"
  within 280 "${vitest[@]}" || status=1
  # Four multiprocessors make persistent kernels walk over several tiles, and small products take wgmma and clusters.
  say "op suite, as on four multiprocessors"
  HELVETIA_PROCESSORS=4 within 160 "${vitest[@]}" test/ops || status=1
  return $status
}

bench() { within 580 node bench/gpu.mjs --out "$out" --seconds 540; }

# The parts in their order, as far as $budget seconds last. One that ran, to its end or until it was cut off, is not run
# again while the addon is the same: $out/first.txt has a line for each, and the log what it found.
first() {
  local addon status=0
  build "$(least 170 "$(left)")" || return
  if [[ $dry ]]; then addon=; else addon=$(cksum <build/Release/helvetia.node); fi
  [[ $dry || $addon == "$(head -n 1 build/gpu/first 2>/dev/null)" ]] || echo "$addon" >build/gpu/first
  part doctor 60 node dist/lib/cli/index.js doctor --device cuda || status=1
  part ops 150 "${vitest[@]}" --reporter verbose test/ops test/cuda || status=1
  part four 75 env HELVETIA_PROCESSORS=4 "${vitest[@]}" --reporter verbose test/ops/{matmul,grouped,attention,lora,loss}.test.ts || status=1
  # It keeps its figures and goes on with the next, so it runs as often as there is time.
  part figures 170 node bench/gpu.mjs --out "$out" --quick --seconds "$(least 150 $(($(left) - 20)))" || status=1
  return $status
}
least() { echo $(($1 < $2 ? $1 : $2)); }
left() { echo $((budget - SECONDS - 5)); }

# part NAME SECONDS COMMAND: the command for at most so many seconds, and not beyond the budget.
part() {
  local name=$1 limit started=$SECONDS status=0
  limit=$(least "$2" "$(left)")
  shift 2
  say "$name"
  if grep -qsx "$name" build/gpu/first; then
    echo "ran before"
  elif ((limit < 20)); then
    note "$name: not begun, $(left) s are left"
    status=1
  else
    within "$limit" "$@" || status=$?
    [[ $dry || $name == figures ]] || echo "$name" >>build/gpu/first
    note "$name: status $status after $((SECONDS - started)) s"
  fi
  return $status
}
note() { if [[ $dry ]]; then echo "$*"; else tee -a "$out/first.txt" <<<"$*"; fi; }

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
      "${vitest[@]}" test/ops --testTimeout 280000 || status=1
  done
  return $status
}

# --- which -----------------------------------------------------------------------------------------------------------

case $stage in
  pack) pack && exit ;;
  build | check | bench | sanitize | first) stages=$stage ;;
  all) stages="build check bench sanitize" ;;
  *) fail "what is '$stage'? pack, build, check, bench, sanitize, all or first" ;;
esac
[[ $budget =~ ^[1-9][0-9]*$ ]] || fail "for how long is '$budget'? A number of seconds"
mkdir -p "$out" build
if needs_kit; then
  if [[ $dry ]]; then echo "would unpack $kit"; else unpack; fi
fi
[[ $dry || -f dist/lib/index.js ]] || npm run build:ts || fail "the TypeScript does not compile"
command -v nvcc >/dev/null || PATH=$PATH:/usr/local/cuda/bin
for tool in nvcc cmake; do command -v $tool >/dev/null || fail "$tool was not found"; done
[[ $stages == build* || $stages == first || -f build/gpu/CMakeCache.txt && -f build/Release/helvetia.node ]] || stages="build $stages"

failed=
for stage in $stages; do
  say "$stage ($(date +%T))"
  if $stage 2>&1 | tee -a "$out/$stage.log"; then continue; fi
  failed+=" $stage"
  [[ $stage == build ]] && break
done
[[ -s $out/ptxas.txt && ! $dry ]] && failed+=" ptxas"
[[ -z $failed ]] || fail "failed:$failed"
say "done: $stages"
