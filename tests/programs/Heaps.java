import java.lang.management.GarbageCollectorMXBean;
import java.lang.management.ManagementFactory;
import java.lang.management.MemoryPoolMXBean;
import java.util.ArrayList;
import java.util.List;

/**
 * Fills a part of the heap, collects it twice, and says what the JVM thinks of it; says so anew for each line of its input.
 */
class Heaps {
    static final List<byte[]> KEPT = new ArrayList<>();
    static volatile byte[] garbage;

    public static void main(String[] arguments) throws Exception {
        for (int i = 0; i < 40; i++) {
            KEPT.add(new byte[1_000_000]);
        }
        for (int i = 0; i < 1500; i++) {
            garbage = new byte[100_000];
        }
        // What the second look loads is loaded by then.
        truth();
        garbage = null;
        System.gc();
        System.gc();
        System.out.println(truth());
        for (int read = System.in.read(); read >= 0; read = System.in.read()) {
            if (read == '\n') {
                System.out.println(truth());
            }
        }
    }

    static String truth() {
        Runtime runtime = Runtime.getRuntime();
        StringBuilder text = new StringBuilder();
        add(text, "used", runtime.totalMemory() - runtime.freeMemory());
        add(text, "committed", runtime.totalMemory());
        add(text, "classes", ManagementFactory.getClassLoadingMXBean().getLoadedClassCount());
        for (MemoryPoolMXBean pool : ManagementFactory.getMemoryPoolMXBeans()) {
            if (pool.getName().equals("Metaspace")) {
                add(text, "metaspace", pool.getUsage().getUsed());
            }
        }
        for (GarbageCollectorMXBean collector : ManagementFactory.getGarbageCollectorMXBeans()) {
            add(text, collector.getName(), collector.getCollectionCount());
        }
        return text.toString();
    }

    static void add(StringBuilder text, String name, long value) {
        text.append(name).append('=').append(value).append(';');
    }
}
