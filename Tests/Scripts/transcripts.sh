#!/bin/sh
# Transcripts of a served artifact with curl: both protocols, the metrics page, three bad requests, SIGTERM under load.
# Usage: transcripts.sh [ARTIFACT]      the artifact of examples/iris/iris.onnx; compiled here if it is not given
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH= cd -- "$here/../.." && pwd)
ingot=${INGOT:-$root/.build/release/ingot}
python=${PYTHON:-python3}
work=$(mktemp -d)
server=""
clean() {
  status=$?
  [ -z "$server" ] || kill -KILL "$server" 2>/dev/null || true
  rm -rf "$work"
  exit $status
}
trap clean EXIT INT TERM

artifact=${1:-}
if [ -z "$artifact" ]; then
  artifact=$work/iris
  echo "\$ ingot compile examples/iris/iris.onnx -o iris --labels examples/iris/labels.txt"
  "$ingot" compile "$root/examples/iris/iris.onnx" -o "$artifact" --labels "$root/examples/iris/labels.txt"
fi

: >"$work/log"
"$artifact" serve --port 0 --grace-seconds 1 >"$work/log" 2>&1 &
server=$!
address=""
tries=0
while [ -z "$address" ]; do
  address=$(sed -n 's/^serving .* on \(http:[^ ]*\)$/\1/p' "$work/log")
  tries=$((tries + 1))
  [ $tries -le 200 ] || { cat "$work/log" >&2; exit 1; }
  [ -n "$address" ] || sleep 0.05
done
echo "\$ ./iris serve --port 0 &"
cat "$work/log"

failures=0
# curl PATH EXPECTED-STATUS [BODY]
ask() {
  echo
  if [ $# -ge 3 ]; then
    echo "\$ curl -i -d '$3' $address$1"
    set -- "$1" "$2" "$(curl -sS -i --max-time 20 -H 'Content-Type: application/json' -d "$3" "$address$1")"
  else
    echo "\$ curl -i $address$1"
    set -- "$1" "$2" "$(curl -sS -i --max-time 20 "$address$1")"
  fi
  printf '%s\n' "$3" | tr -d '\r'
  case "$3" in
  "HTTP/1.1 $2"*) ;;
  *)
    echo "^^^ FAILED: expected status $2"
    failures=$((failures + 1))
    ;;
  esac
}

echo
echo "== Open Inference Protocol"
ask /v2 200
ask /v2/health/ready 200
ask /v2/models/iris 200
ask /v2/models/iris/infer 200 '{"id": "7", "inputs": [{"name": "measurements", "datatype": "FP32", "shape": [2, 4], "data": [5.1, 3.5, 1.4, 0.2, 6.3, 3.3, 6.0, 2.5]}]}'
echo
echo "== TensorFlow Serving"
ask /v1/models/iris 200
ask /v1/models/iris:predict 200 '{"instances": [[5.1, 3.5, 1.4, 0.2], [7.0, 3.2, 4.7, 1.4]]}'
ask /v1/models/iris:predict 200 '{"inputs": {"measurements": [[6.3, 3.3, 6.0, 2.5]]}}'
ask /predict 200 '{"input_data": [[6.3, 3.3, 6.0, 2.5]]}'
echo
echo "== Bad requests: a wrong name, a wrong length, JSON that ends early"
ask /v2/models/iris/infer 400 '{"inputs": [{"name": "petals", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]}'
ask /v2/models/iris/infer 400 '{"inputs": [{"name": "measurements", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3]}]}'
ask /v1/models/iris:predict 400 '{"instances": [[1, 2'
echo
echo "== Metrics"
ask /metrics 200

echo
echo "== SIGTERM during load"
body='{"instances": [[5.1, 3.5, 1.4, 0.2]]}'
echo "\$ http_load.py $address/v1/models/iris:predict '$body' --clients 8 --seconds 5 & sleep 2; kill -TERM \$server"
"$python" "$here/http_load.py" "$address/v1/models/iris:predict" "$body" --clients 8 --seconds 5 >"$work/load" 2>&1 &
load=$!
sleep 2
kill -TERM "$server"
sleep 0.3
echo "readiness while draining: $(curl -sS -o /dev/null -w '%{http_code}' --max-time 5 "$address/v2/health/ready" || true)"
loaded=0
wait "$load" || loaded=$?
stopped=0
wait "$server" || stopped=$?
server=""
cat "$work/load"
echo "server: exit status $stopped; its last words:"
tail -n 3 "$work/log"
[ "$loaded" -eq 0 ] && [ "$stopped" -eq 0 ] || failures=$((failures + 1))
echo
if [ "$failures" -eq 0 ]; then echo "all as expected"; else echo "FAILED: $failures"; exit 1; fi
