#: title: nginx, two workers, with ab; reloaded once, ended gracefully
#: modes: default follow exact jemalloc-before tcmalloc-behind
"$HERE/need" /usr/sbin/nginx nginx-light
"$HERE/need" /usr/bin/ab apache2-utils
mkdir -p logs www
seq 20000 >www/page.txt
cat >nginx.conf <<END
worker_processes 2; pid $WORK/nginx.pid; error_log $WORK/logs/error.log; $([ "$(id -u)" != 0 ] || echo "user root;")
events { worker_connections 256; }
http { access_log off; gzip on; gzip_types text/plain; client_body_temp_path $WORK/a; proxy_temp_path $WORK/b;
  fastcgi_temp_path $WORK/c; uwsgi_temp_path $WORK/d; scgi_temp_path $WORK/e;
  server { listen 127.0.0.1:18087; root $WORK/www; } }
END
$RUN nginx -p "$WORK" -c "$WORK/nginx.conf" -g 'daemon off;' >&2 &
server=$!
"$HERE/await" curl -sfo /dev/null http://127.0.0.1:18087/page.txt
bench() { ab -q -H 'Accept-Encoding: gzip' -n 3000 -c 20 http://127.0.0.1:18087/page.txt 2>&1 | grep -E '^(Complete|Failed|Non-2xx)'; }
bench
kill -HUP "$(cat nginx.pid)"
"$HERE/await" curl -sfo /dev/null http://127.0.0.1:18087/page.txt
bench
kill -QUIT "$(cat nginx.pid)"
wait "$server"
echo "server exited $?"
