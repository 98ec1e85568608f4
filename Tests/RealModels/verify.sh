#!/bin/sh
# Runs trained models on their data sets, compiled in the process (JIT) and as artifacts.
#
#   verify.sh MODELS_DIR [NAME...]     MODELS_DIR/NAME/model.onnx, MODELS_DIR/NAME/test_data_set_*
#
# The last line says how many of the checks passed; a model is two checks.
set -u
models=$1
shift
names=${*:-mobilenet_v2_fp32 resnet8_cifar10 mnist_cntk ultraface_rfb_320 fastestdet_coco super_resolution_x3 sinet_portrait_seg ppocr_v3_text_det minilm_l6_v2 hand_keypoint_mlp magika_v3_3 speech_embedding}
ingot=${INGOT:-$(dirname "$0")/../../.build/release/ingot}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0

# check NAME COMMAND...: runs it, shows its last line.
check() {
  name=$1
  shift
  begin=$(date +%s.%N)
  timeout 300 "$@" >"$work/output" 2>"$work/errors"
  status=$?
  seconds=$(echo "$(date +%s.%N) $begin" | awk '{printf "%.2f", $1 - $2}')
  if [ $status -eq 0 ]; then
    passed=$((passed + 1))
    echo "ok      $name ($seconds s) $(tail -n 1 "$work/output")"
  else
    failed=$((failed + 1))
    echo "FAILED  $name ($seconds s, status $status) $(tail -n 1 "$work/output")"
    grep -h -m 3 . "$work/errors" "$work/output" | cut -c 1-300 | sed 's/^/        /'
  fi
}

for name in $names; do
  # The models' README measures a noise of the reference itself of up to 2e-3 on values of thousands and 5e-5 elsewhere.
  tolerance="--rtol 1e-3 --atol 1e-4"
  # shellcheck disable=SC2086
  check "$name, jit" "$ingot" verify "$models/$name/model.onnx" "$models/$name"/test_data_set_* $tolerance
  rm -f "$work/artifact"
  if "$ingot" compile "$models/$name/model.onnx" -o "$work/artifact" >"$work/compiled" 2>&1; then
    # shellcheck disable=SC2086
    check "$name, artifact" "$work/artifact" verify "$models/$name"/test_data_set_* $tolerance
  else
    failed=$((failed + 1))
    echo "FAILED  $name, compile: $(head -n 3 "$work/compiled")"
  fi
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
