import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/**
 * A streaming job whose operator keeps an index outside the Java heap. Each restart of the task drops the
 * old index without releasing it: its memory lives until the garbage collector finds the buffers.
 *
 * <p>Usage: java DirectBufferLeak.java [restarts] [milliseconds between restarts]
 */
public class DirectBufferLeak {
    /** An index in direct buffers of 1 MiB. */
    static final class OffHeapIndex {
        private final List<ByteBuffer> segments = new ArrayList<>();

        void build(int count) {
            for (int i = 0; i < count; i++) {
                segments.add(ByteBuffer.allocateDirect(1 << 20));
            }
        }

        void close() {
            // Forgotten: the segments are off-heap, and dropping the references does not free them.
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
