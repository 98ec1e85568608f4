#!/bin/sh
# Builds a fuzz target and runs it for some time. A finding ends it with status 1; the input that shows it lies in
# .build/fuzz/findings/TARGET-*.
#
#   run.sh TARGET SECONDS [libFuzzer option | further corpus folder]...        TARGET: onnx, text, artifact, tensors, http
#
# What it learns stays in .build/fuzz/corpus/TARGET for the next run; the seeds in Corpus/ are not changed. An input may take
# 20 seconds and the process 2 GB. `run.sh TARGET 0 FILE` tries one input.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH= cd -- "$here/../.." && pwd)
target=$1 seconds=$2
shift 2
out=$root/.build/fuzz
"$here/build.sh" "$target"
mkdir -p "$out/corpus/$target" "$out/findings"
# Swift's own crash handler would end the process before libFuzzer keeps the input.
export SWIFT_BACKTRACE=enable=no
limits="-rss_limit_mb=2048 -malloc_limit_mb=2048 -timeout=20 -max_len=65536 -print_final_stats=1 -verbosity=${FUZZ_VERBOSITY:-1}"
limits="$limits -artifact_prefix=$out/findings/$target-"
dictionary=$here/Dictionaries/$target
if [ -e "$dictionary" ]; then limits="$limits -dict=$dictionary"; fi
# shellcheck disable=SC2086
if [ "$seconds" -eq 0 ]; then exec "$out/$target" $limits "$@"; fi
seeds=$here/Corpus/$target
if [ "$target" = text ]; then seeds=$root/Tests/CompilerTests/Cases; fi
# shellcheck disable=SC2086
exec "$out/$target" $limits -max_total_time="$seconds" "$out/corpus/$target" "$seeds" "$@"
