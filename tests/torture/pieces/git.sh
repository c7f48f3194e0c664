#: title: git: commits, gc (threads), clone, blame, bundle
#: modes: default follow exact jemalloc-behind
#: seconds: 400
"$HERE/need" /usr/bin/git git
cat >work.sh <<'END'
set -e
export HOME=$WORK GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000'
git init -q -b main r && cd r
git config user.name t && git config user.email t@example.org && git config gc.auto 0
for n in $(seq 15); do
    for f in $(seq 20); do seq $n $((n * f * 10)) >file$f; done
    git add . && git commit -q -m "commit $n"
done
git -c pack.threads=2 repack -qadf --depth=20
git gc -q --aggressive
git log --stat | sha256sum
git blame file3 | sha256sum
git bundle create -q ../b main && cd .. && git clone -q b c && git -C c rev-parse HEAD && git -C c fsck --strict
git -C c grep -c 77 | sha256sum
END
$RUN bash work.sh
