#: title: redis-server with redis-benchmark, a background save (fork) and an orderly end
#: modes: default follow exact jemalloc-before jemalloc-behind tcmalloc-behind
#: seconds: 240
"$HERE/need" /usr/bin/redis-server redis-server
"$HERE/need" /usr/bin/redis-benchmark redis-tools
socket=$(mktemp -u /tmp/leakscope-torture-redis.XXXXXX)
$RUN redis-server --port 0 --unixsocket "$socket" --save '' --dir "$WORK" --io-threads 2 --activedefrag no >&2 &
server=$!
"$HERE/await" redis-cli -s "$socket" ping
redis-benchmark -s "$socket" -q -n 20000 -c 20 -P 4 -r 10000 -d 200 -t set,get,incr,lpush,rpop,sadd,hset,zadd,lrange_100,mset >&2
redis-cli -s "$socket" flushall
redis-cli -s "$socket" eval 'for i = 1, 5000 do redis.call("set", "k" .. i, string.rep("v", i)) end return redis.call("dbsize")' 0
redis-cli -s "$socket" bgsave
"$HERE/await" test -s "$WORK/dump.rdb"
redis-cli -s "$socket" memory purge
redis-cli -s "$socket" flushall async
redis-cli -s "$socket" shutdown nosave
wait "$server"
echo "server exited $?"
