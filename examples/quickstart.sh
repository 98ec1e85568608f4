#!/bin/sh
# From nothing to a prediction over HTTP: installs what is missing, builds Ingot, compiles the iris example into one
# executable, serves it on a free port of this machine, asks it about three flowers, and stops it again.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
cd "$here"
if ! command -v swift >/dev/null 2>&1 && [ -x /opt/swift/usr/bin/swift ]; then PATH=$PATH:/opt/swift/usr/bin; fi

./.ci/setup
echo "building Ingot (the first time takes some minutes)"
swift build -c release --product ingot
swift build -c release --product ingot-runtime
exec ./examples/iris/run.sh
