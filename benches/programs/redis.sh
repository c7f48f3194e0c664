#!/bin/sh
# redis.sh REQUESTS TOOL...: a server under the tool, asked by redis-benchmark; prints microseconds per request, then the KiB that
# were resident in the server at most.
set -eu
requests=$1
shift
folder=$(mktemp -d)
"$@" redis-server --port 0 --unixsocket "$folder/socket" --dir "$folder" --save "" --daemonize no --pidfile "$folder/pid" \
    >"$folder/log" 2>&1 &
until redis-cli -s "$folder/socket" ping >"$folder/ping" 2>&1; do
    kill -0 $! || exit 1 # it will not come
    sleep 0.1
done
redis-benchmark -s "$folder/socket" -q --csv -n "$requests" -r 100000 -d 200 -t set,lpush,hset -P 16 |
    awk -F'","|"' '$3 + 0 > 0 { sum += 1e6 / $3; n++ } END { print sum / n }'
server=$(redis-cli -s "$folder/socket" info server | awk -F: '/^process_id/ { print $2 + 0 }')
awk '/VmHWM/ { print $2 }' "/proc/$server/status"
redis-cli -s "$folder/socket" shutdown nosave >/dev/null 2>&1 || true
wait
rm -rf "$folder"
