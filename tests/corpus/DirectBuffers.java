import java.nio.ByteBuffer;
import java.util.ArrayDeque;

/** A service that takes a direct buffer for each request, and leaves it to the collector. Usage: DirectBuffers leak|fixed SECONDS */
public class DirectBuffers {
    private static final ByteBuffer[] IN_FLIGHT = new ByteBuffer[40];
    private static final ArrayDeque<ByteBuffer> POOL = new ArrayDeque<>();

    static final class Encoder {
        ByteBuffer take(boolean pools) {
            ByteBuffer pooled = pools ? POOL.poll() : null;
            return pooled != null ? pooled : ByteBuffer.allocateDirect(256 << 10); // THE LEAK
        }
    }

    public static void main(String[] arguments) throws InterruptedException {
        boolean pools = arguments[0].equals("fixed");
        long end = System.nanoTime() + (long) (Double.parseDouble(arguments[1]) * 1e9);
        Encoder encoder = new Encoder();
        long sum = 0;
        for (int i = 0; System.nanoTime() < end; i++) {
            ByteBuffer buffer = encoder.take(pools);
            buffer.clear();
            while (buffer.hasRemaining()) {
                buffer.putLong(i);
            }
            ByteBuffer before = IN_FLIGHT[i % IN_FLIGHT.length];
            if (pools && before != null) {
                POOL.add(before);
            }
            IN_FLIGHT[i % IN_FLIGHT.length] = buffer;
            sum += garbage();
            Thread.sleep(15);
        }
        System.out.println("encoded " + (sum > 0));
    }

    private static int garbage() {
        byte[][] garbage = new byte[8][];
        for (int i = 0; i < garbage.length; i++) {
            garbage[i] = new byte[32 << 10];
        }
        return garbage.length;
    }
}
