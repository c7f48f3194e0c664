import java.util.Map;
import java.util.TreeMap;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.CloseableIterator;
import org.apache.flink.util.Collector;

/**
 * A Flink job in a local mini cluster: counts per key in RocksDB, checkpoints every 200 ms, an operator that fails three
 * times and is restarted. Prints the final counts' sum, which must not depend on anything.
 */
public final class FlinkJob {
    static final int KEYS = 1000;
    static final long ELEMENTS = 60_000;

    /** Counts the elements of a key; its first attempts fail after a while. */
    static final class Count extends KeyedProcessFunction<Long, Long, String> {
        private static final java.util.concurrent.atomic.AtomicInteger FAILURES = new java.util.concurrent.atomic.AtomicInteger();
        private transient ValueState<Long> count;
        private transient long seen;

        @Override
        public void open(OpenContext context) {
            count = getRuntimeContext().getState(new ValueStateDescriptor<>("count", Long.class));
        }

        @Override
        public void processElement(Long value, Context context, Collector<String> out) throws Exception {
            if (++seen == 10_000 && FAILURES.incrementAndGet() <= 3) {
                throw new IllegalStateException("fails on purpose");
            }
            long now = count.value() == null ? 1 : count.value() + 1;
            count.update(now);
            out.collect(context.getCurrentKey() + "=" + now);
        }
    }

    public static void main(String[] args) throws Exception {
        Configuration settings = new Configuration();
        settings.setString("state.backend.type", "rocksdb");
        settings.setString("state.backend.rocksdb.localdir", args[0] + "/rocksdb");
        settings.setString("execution.checkpointing.dir", "file://" + args[0] + "/checkpoints");
        settings.setString("execution.checkpointing.interval", "200 ms");
        settings.setString("restart-strategy.type", "fixed-delay");
        settings.setString("restart-strategy.fixed-delay.attempts", "10");
        settings.setString("restart-strategy.fixed-delay.delay", "100 ms");
        settings.setString("taskmanager.memory.network.max", "64mb");
        settings.setString("taskmanager.memory.managed.size", "128mb");
        StreamExecutionEnvironment environment = StreamExecutionEnvironment.createLocalEnvironment(2, settings);
        Map<String, Long> highest = new TreeMap<>();
        try (CloseableIterator<String> results = environment.fromSequence(0, ELEMENTS - 1)
                .keyBy(value -> value % KEYS).process(new Count()).executeAndCollect("counts")) {
            while (results.hasNext()) {
                String[] pair = results.next().split("=");
                highest.merge(pair[0], Long.parseLong(pair[1]), Math::max);
            }
        }
        System.out.println(highest.size() + " keys, " + highest.values().stream().mapToLong(Long::longValue).sum() + " elements");
    }
}
