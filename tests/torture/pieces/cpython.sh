#: title: CPython's own tests (a choice; --whole for all of them)
#: modes: follow exact jemalloc-behind tcmalloc-before
#: plain: 3
#: seconds: 1500
#: compare: tests
# Debian's Python: its tests are a package of their own.
"$HERE/need" /usr/lib/python3.11/test/test_gc.py libpython3.11-testsuite
tests=(test_threading test_subprocess test_os test_mmap test_fork1 test_multiprocessing_fork test_multiprocessing_spawn
    test_multiprocessing_forkserver test_signal test_zlib test_ctypes test_gc test_posix test_faulthandler
    test_thread test_threadsignals test_resource test_tracemalloc test_cmd_line test_ssl test_sqlite3)
[ -z "$WHOLE" ] || tests=()
$RUN /usr/bin/python3.11 -m test -u none --timeout 1200 --junit-xml "$WORK/tests.xml" "${tests[@]}" >&2 || true
/usr/bin/python3.11 "$HERE/junit.py" "$WORK/tests.xml"
