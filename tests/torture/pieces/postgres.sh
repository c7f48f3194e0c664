#: title: postgres with pgbench (a process for each connection, shared memory), a dump, a fast stop
#: modes: default follow exact jemalloc-behind
#: seconds: 400
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -1 || true)
[ -n "$bin" ] || { "$HERE/need" /usr/lib/postgresql/15/bin/postgres postgresql-15 && bin=/usr/lib/postgresql/15/bin; }
data=$(mktemp -d /tmp/leakscope-torture-postgres.XXXXXX)
trap 'rm -rf "$data"' EXIT
as=()
if [ "$(id -u)" = 0 ]; then as=(setpriv --reuid postgres --regid postgres --clear-groups); chown postgres "$data"; fi
cd /
"${as[@]}" "$bin/initdb" -D "$data/d" -A trust -U t --no-sync >&2
$RUN "${as[@]}" "$bin/postgres" -D "$data/d" -c listen_addresses= -c unix_socket_directories="$data" -c fsync=off >&2 &
server=$!
ask() { "${as[@]}" "$bin/psql" -h "$data" -U t -At postgres -c "$1"; }
"$HERE/await" "${as[@]}" "$bin/psql" -h "$data" -U t postgres -c 'select 1'
"${as[@]}" "$bin/pgbench" -h "$data" -U t -i -q -s 2 postgres >&2
"${as[@]}" "$bin/pgbench" -h "$data" -U t -c 4 -j 2 -t 300 postgres >&2
ask 'select count(*), sum(abalance) = (select sum(delta) from pgbench_history) from pgbench_accounts'
ask 'select count(*) from pgbench_history'
ask 'set max_parallel_workers_per_gather = 2; set min_parallel_table_scan_size = 0; set parallel_setup_cost = 0;
     select md5(string_agg(x, $$,$$ order by x)) from (select (aid % 7919)::text x from pgbench_accounts group by 1) s'
"${as[@]}" "$bin/pg_dump" -h "$data" -U t -s postgres | grep -v '^\\' | md5sum
kill -INT "$(head -1 "$data/d/postmaster.pid")"
wait "$server"
echo "server exited $?"
