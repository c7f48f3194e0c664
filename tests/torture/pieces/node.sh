#: title: node: zlib and crypto on its thread pool, workers, child processes; npm --version
#: modes: default follow exact jemalloc-behind
#: seconds: 300
"$HERE/need" /usr/bin/node nodejs
$RUN node "$HERE/work.js"
if command -v npm >/dev/null; then $RUN npm --version; fi
