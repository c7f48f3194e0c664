import java.lang.reflect.Field;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/**
 * A streaming job whose operator keeps an index outside the Java heap. The fixed twin of
 * DirectBufferLeak: each restart releases the old index's segments at once.
 *
 * <p>Usage: java DirectBufferFixed.java [restarts] [milliseconds between restarts]
 */
public class DirectBufferFixed {
    /** An index in direct buffers of 1 MiB. */
    static final class OffHeapIndex {
        private final List<ByteBuffer> segments = new ArrayList<>();

        void build(int count) {
            for (int i = 0; i < count; i++) {
                segments.add(ByteBuffer.allocateDirect(1 << 20));
            }
        }

        void close() throws ReflectiveOperationException {
            for (ByteBuffer segment : segments) {
                release(segment);
            }
            segments.clear();
        }

        /** Frees a direct buffer now, the way libraries do until the foreign memory API can be relied on. */
        private static void release(ByteBuffer buffer) throws ReflectiveOperationException {
            Field field = Class.forName("sun.misc.Unsafe").getDeclaredField("theUnsafe");
            field.setAccessible(true);
            Object unsafe = field.get(null);
            unsafe.getClass().getMethod("invokeCleaner", ByteBuffer.class).invoke(unsafe, buffer);
        }
    }

    public static void main(String[] args) throws Exception {
        int restarts = args.length > 0 ? Integer.parseInt(args[0]) : 10;
        long pause = args.length > 1 ? Long.parseLong(args[1]) : 1000;
        OffHeapIndex index = new OffHeapIndex();
        for (int restart = 0; restart < restarts; restart++) {
            index.close();
            index = new OffHeapIndex();
            index.build(16);
            Thread.sleep(pause);
        }
        System.out.println("restarted " + restarts + " times, " + index.segments.size() + " segments in use");
    }
}
