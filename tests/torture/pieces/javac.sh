#: title: javac compiling java.util and java.time of the JDK's own source
#: modes: default exact jemalloc-behind jemalloc-before tcmalloc-behind mimalloc-behind
#: seconds: 900
home=/usr/lib/jvm/java-17-openjdk-amd64
"$HERE/need" $home/bin/javac openjdk-17-jdk-headless
"$HERE/need" /usr/lib/jvm/openjdk-17/lib/src.zip openjdk-17-source
python3 - <<'END'
import zipfile
with zipfile.ZipFile("/usr/lib/jvm/openjdk-17/lib/src.zip") as file:
    file.extractall("src", [n for n in file.namelist() if n.startswith(("java.base/java/util/", "java.base/java/time/"))])
END
find src -name '*.java' | sort >files
wc -l <files
$RUN $home/bin/javac -nowarn -XDignore.symbol.file --patch-module java.base=src/java.base -d classes @files 2>javac.err
grep -vE '^Note|^leakscope|^  |^next' javac.err || true
find classes -type f | sort | xargs sha256sum | sha256sum
