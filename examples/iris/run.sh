#!/bin/sh
# Compiles the iris classifier, serves it, asks it about three flowers, stops it. Needs a built Ingot (see quickstart.sh).
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
ingot=${INGOT:-$(CDPATH= cd -- "$here/../.." && pwd)/.build/release/ingot}
work=$(mktemp -d)
server=""
clean() {
  status=$?
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  rm -rf "$work"
  exit $status
}
trap clean EXIT INT TERM

echo
echo "\$ ingot compile examples/iris/iris.onnx -o iris --labels examples/iris/labels.txt"
cd "$work"
"$ingot" compile "$here/iris.onnx" -o iris --labels "$here/labels.txt"

echo
echo "\$ ./iris info"
"$work/iris" info

echo
echo "\$ ./iris serve --port 0"
: >"$work/log"
"$work/iris" serve --port 0 >"$work/log" 2>&1 &
server=$!
# The server prints its address as soon as it accepts connections.
address=""
tries=0
while [ -z "$address" ]; do
  address=$(sed -n 's/^serving .* on \(http:[^ ]*\)$/\1/p' "$work/log")
  tries=$((tries + 1))
  if [ $tries -gt 100 ] || ! kill -0 "$server" 2>/dev/null; then
    echo "the server did not start:" >&2
    cat "$work/log" >&2
    exit 1
  fi
  [ -n "$address" ] || sleep 0.1
done
cat "$work/log"

ask() {
  echo
  echo "\$ curl -d '$2' $address$1"
  curl --silent --show-error --fail --max-time 10 --header 'Content-Type: application/json' --data "$2" "$address$1"
  echo
}
echo
echo "three flowers, one of each species (columns: setosa, versicolor, virginica)"
ask /v1/models/iris:predict '{"instances": [[5.1, 3.5, 1.4, 0.2], [7.0, 3.2, 4.7, 1.4], [6.3, 3.3, 6.0, 2.5]]}'
ask /v2/models/iris/infer '{"inputs": [{"name": "measurements", "datatype": "FP32", "shape": [1, 4], "data": [6.3, 3.3, 6.0, 2.5]}]}'

kill -TERM "$server"
wait "$server" && echo && echo "the server has stopped; the prediction came from one file of $(wc -c <"$work/iris") bytes" || exit 1
server=""
