#!/bin/sh
# Builds the fuzz targets: every module that reads what others wrote, compiled with libFuzzer's instrumentation.
#
#   build.sh [TARGET...]        all of Targets/ without arguments
#
# Apart from the package, so that its own build keeps its flags: objects lie in .build/fuzz and are made anew only where a
# source or a module below changed. Needs a Swift toolchain that carries libFuzzer, and for the target `http` a release
# build beside it (`swift build -c release --product ingot-runtime`), whose SwiftNIO it links.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH= cd -- "$here/../.." && pwd)
out=$root/.build/fuzz
if ! command -v swiftc >/dev/null 2>&1 && [ -x /opt/swift/usr/bin/swiftc ]; then PATH=$PATH:/opt/swift/usr/bin; fi
mkdir -p "$out"
cd "$root"

swift="swiftc -O -whole-module-optimization -parse-as-library -swift-version 6 -package-name ingot -sanitize=fuzzer -I $out
  -Xcc -fmodule-map-file=$out/CRuntime.modulemap"
printf 'module CRuntime {\n  umbrella "%s"\n  export *\n}\n' "$root/Sources/CRuntime/include" >"$out/CRuntime.modulemap.new"
cmp -s "$out/CRuntime.modulemap.new" "$out/CRuntime.modulemap" || mv "$out/CRuntime.modulemap.new" "$out/CRuntime.modulemap"
rm -f "$out/CRuntime.modulemap.new"

# module NAME FOLDER DEPENDENCY...: compiles one Swift module if something that it is made of is newer than its object.
module() {
  name=$1 folder=$2
  shift 2
  if [ -e "$out/$name.o" ] && [ -z "$(find "$folder" -name '*.swift' -newer "$out/$name.o" | head -n 1)" ]; then
    stale=
    for dependency in "$@"; do if [ "$out/$dependency.o" -nt "$out/$name.o" ]; then stale=$dependency; fi; done
    [ -z "$stale" ] && return
  fi
  echo "fuzz: $name"
  # shellcheck disable=SC2046,SC2086
  $swift ${extra:-} -module-name "$name" -emit-module -emit-module-path "$out/$name.swiftmodule" -c -o "$out/$name.o" $(find "$folder" -name '*.swift')
}

# target NAME MODULE...: links one fuzz target.
target() {
  name=$1
  shift
  objects=$(find "$out/c" -name '*.o')
  for part in "$@"; do objects="$objects $out/$part.o"; done
  # shellcheck disable=SC2086
  $swift ${extra:-} -module-name "fuzz_$name" -o "$out/$name" "$here/Targets/$name.swift" "$here/Targets/Input.swift" ${sources:-} $objects ${libraries:-}
}

mkdir -p "$out/c"
for source in Sources/CRuntime/*.c; do
  object=$out/c/$(basename "$source").o
  if [ ! -e "$object" ] || [ "$source" -nt "$object" ]; then clang -O2 -fsanitize=fuzzer-no-link -I Sources/CRuntime/include -c "$source" -o "$object"; fi
done

module TensorTypes ir/Tensor
for goal in ${*:-onnx text artifact tensors http}; do
  case $goal in
  onnx | text)
    module GraphIR ir/Graph TensorTypes
    module KernelIR ir/Kernel TensorTypes
    module ONNXFrontend Sources/ONNXFrontend GraphIR
    module Interpreter Sources/Interpreter GraphIR KernelIR
    module Lowering Sources/Lowering GraphIR KernelIR
    module Passes passes GraphIR KernelIR Interpreter
    sources="$here/Targets/Pipeline.swift" target "$goal" TensorTypes GraphIR KernelIR ONNXFrontend Interpreter Lowering Passes
    ;;
  artifact | tensors)
    module Artifact Sources/Artifact TensorTypes
    module Runtime Sources/Runtime Artifact
    target "$goal" TensorTypes Artifact Runtime
    ;;
  http)
    module Artifact Sources/Artifact TensorTypes
    module Runtime Sources/Runtime Artifact
    # SwiftNIO as the package has built it, without instrumentation.
    release=$root/.build/release
    extra="-I $release/Modules"
    for map in $(find "$root"/.build/checkouts "$release"/ -name module.modulemap 2>/dev/null); do
      case $map in */CNIO*/* | */_AtomicsShims/*) extra="$extra -Xcc -fmodule-map-file=$map" ;; esac
    done
    module Serving Sources/Serving Artifact Runtime
    # As an archive, for some of their files have blanks in their names.
    rm -f "$out/nio.a"
    find "$release"/NIO*.build "$release"/_NIO*.build "$release"/CNIO*.build "$release"/Atomics.build "$release"/_AtomicsShims.build \
      "$release"/DequeModule.build "$release"/InternalCollectionsUtilities.build "$release"/ContainersPreview.build -name '*.o' -print0 2>/dev/null |
      xargs -0 ar qcs "$out/nio.a"
    libraries=$out/nio.a
    target http TensorTypes Artifact Runtime Serving
    extra='' libraries=''
    ;;
  *)
    echo "fuzz: there is no target $goal" >&2
    exit 2
    ;;
  esac
done
