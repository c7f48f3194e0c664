"""A Spark job on the local machine; prints results which must not depend on anything. Batches with shuffles (zstd), an
off-heap sort, Python workers; then a stateful stream on RocksDB, restarted from its checkpoint."""

import os

from pyspark.sql import SparkSession, functions as f

work = os.environ["WORK"]
spark = (
    SparkSession.builder.master("local[2]")
    .config("spark.ui.enabled", "false")
    .config("spark.driver.host", "127.0.0.1")
    .config("spark.driver.memory", "1g")
    .config("spark.sql.shuffle.partitions", "4")
    .config("spark.io.compression.codec", "zstd")
    .config("spark.memory.offHeap.enabled", "true")
    .config("spark.memory.offHeap.size", "256m")
    .config("spark.local.dir", f"{work}/local")
    .config("spark.sql.warehouse.dir", f"{work}/warehouse")
    .config(
        "spark.sql.streaming.stateStore.providerClass",
        "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider",
    )
    .getOrCreate()
)
spark.sparkContext.setLogLevel("ERROR")

numbers = spark.range(0, 400_000, 1, 4).withColumn("key", f.col("id") % 1009)
grouped = numbers.groupBy("key").agg(f.sum("id").alias("total"), f.count("*").alias("n"))
joined = numbers.join(grouped, "key").select(f.sum(f.hash("id", "total")).alias("h"))
print("join", joined.collect()[0]["h"])
print("sort", numbers.orderBy(f.desc("key"), "id").limit(3).collect()[2]["id"])
print("python", spark.sparkContext.parallelize(range(20000), 4).map(lambda x: (x % 7, x * x)).reduceByKey(lambda a, b: a + b).collectAsMap()[3])
numbers.write.mode("overwrite").option("compression", "zstd").parquet(f"{work}/table")
print("parquet", spark.read.parquet(f"{work}/table").agg(f.sum("key")).collect()[0][0])

source = f"{work}/source"
schema = "id long, key long"
for part in range(3):
    spark.range(part * 3000, (part + 1) * 3000, 1, 2).withColumn("key", f.col("id") % 500).write.mode("append").json(source)
    stream = (
        spark.readStream.schema(schema).json(source).groupBy("key").count()
        .writeStream.outputMode("complete").format("memory").queryName(f"counts{part}")
        .option("checkpointLocation", f"{work}/checkpoint").trigger(availableNow=True).start()
    )  # fmt: skip
    stream.awaitTermination()
    print("stream", part, spark.sql(f"select count(*), sum(count) from counts{part}").collect()[0][:])
spark.stop()
