#: title: Flink, local mini cluster: keyed state in RocksDB (JNI), checkpoints, a task that fails and restarts
#: modes: default exact jemalloc-behind
#: jdks: 11 17 21 25
#: seconds: 700
"$HERE/need" "$STORE/flink/pyflink" pip:apache-flink-libraries==2.3.0:flink
"$HERE/need" /usr/lib/jvm/java-17-openjdk-amd64/bin/javac openjdk-17-jdk-headless
jars=$(ls "$STORE"/flink/pyflink/lib/flink-dist*.jar "$STORE"/flink/pyflink/lib/log4j-*.jar | tr '\n' :)
/usr/lib/jvm/java-17-openjdk-amd64/bin/javac --release 11 -nowarn -d classes -cp "$jars" "$HERE/java/FlinkJob.java" >&2
opens=()
for package in java.lang java.util java.util.concurrent java.util.concurrent.atomic java.net java.nio sun.nio.ch java.text java.time; do
    opens+=(--add-opens "java.base/$package=ALL-UNNAMED")
done
$RUN "$JAVA" -Xmx512m "${opens[@]}" "-Dlog4j2.configurationFile=$HERE/java/log4j2.properties" -cp "classes:$jars" FlinkJob "$WORK/state" | tee "$WORK/all" | grep '^[0-9]* keys,'
