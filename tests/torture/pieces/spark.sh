#: title: Spark, local: shuffles with zstd (JNI), Netty, a stateful stream on RocksDB (JNI), Python workers
#: modes: default exact jemalloc-behind
#: jdks: 11 17 21
#: seconds: 700
"$HERE/need" "$STORE/spark/pyspark" pip:pyspark==3.5.5:spark
export PYTHONPATH=$STORE/spark PYSPARK_PYTHON=python3 SPARK_LOCAL_IP=127.0.0.1 SPARK_HOME=$STORE/spark/pyspark
$RUN python3 "$HERE/spark_job.py"
