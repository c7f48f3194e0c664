#!/bin/sh
# A leak test of a service, from a shell: leakscope check --iterations 200 -- ./loop.sh COMMAND...
#
# COMMAND is started in the background and judged: leakscope prefers the JVM to the shell (a native service needs
# --follow). An iteration is what `request` does. The shell waits at the end of one while leakscope takes a snapshot.
set -eu

# Your own: one request, and its answer. This one speaks with a command that answers each line of its input.
request() {
    echo "request $1" >&3
    read -r _ <&4
}

folder=$(mktemp -d)
mkfifo "$folder/in" "$folder/out"
"$@" < "$folder/in" > "$folder/out" &
service=$!
exec 3> "$folder/in" 4< "$folder/out"
rm -r "$folder"
# leakscope ends us, and the service, after --iterations.
trap 'kill "$service" 2> /dev/null || true' EXIT
number=0
while kill -0 "$service" 2> /dev/null; do
    request "$number"
    echo iteration >> "${LEAKSCOPE_CTL:-/dev/null}"
    number=$((number + 1))
done
wait "$service"
