#!/bin/sh
# Builds everything in release mode and runs all tests. The last line says how many passed.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
cd "$here"
if ! command -v swift >/dev/null 2>&1 && [ -x /opt/swift/usr/bin/swift ]; then PATH=$PATH:/opt/swift/usr/bin; fi

./.ci/setup
swift build -c release
swift build -c release --build-tests
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
{ swift test -c release --skip-build 2>&1 || echo "swift test failed" >>"$log.failed"; } | tee "$log"
if [ -e "$log.failed" ]; then
  status=1
  rm -f "$log.failed"
fi
# The benchmark's own parts, where a Python with numpy is there.
for python in ${PYTHON:-} python3 /opt/peers/bin/python; do
  "$python" -c 'import numpy, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
  "$python" Tests/Benchmarks/test_benchmarks.py 2>&1 | tee "$log.python" || true
  checked=$(sed -n 's/^Ran \([0-9]*\) tests.*/\1/p' "$log.python")
  if ! grep -q '^OK' "$log.python"; then status=1; fi
  rm -f "$log.python"
  break
done
# Swift Testing ends with: Test run with 123 tests in 45 suites passed after 6.7 seconds.
tests=$(sed -n 's/.*Test run with \([0-9]*\) tests.*/\1/p' "$log" | tail -n 1)
failed=$(grep -c '^.*Test .* failed after .* with .* issue' "$log" || true)
# The run's own closing line counts as a match when it fails.
[ "$failed" -eq 0 ] || failed=$((failed - 1))
if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then failed=1; fi
if [ -z "$tests" ]; then
  echo "the tests did not run to their end"
  exit 1
fi
tests=$((tests + ${checked:-0}))
echo "$((tests - failed)) tests passed, $failed failed"
exit $status
