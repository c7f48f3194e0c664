import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.reflect.Field;
import java.nio.ByteBuffer;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;

/** A streaming task that maps its state anew at each restart and loses the old map. Usage: Restarts leak|fixed SECONDS */
public class Restarts {
    private static final int BYTES = 16 << 20;
    private static final int RESTARTS = 5;

    static final class Operator {
        private MappedByteBuffer state;

        void open(Path file) throws IOException {
            try (RandomAccessFile access = new RandomAccessFile(file.toFile(), "rw")) {
                state = access.getChannel().map(FileChannel.MapMode.READ_WRITE, 0, BYTES); // THE LEAK
            }
            for (int at = 0; at < BYTES; at += 4096) {
                state.put(at, (byte) at);
            }
        }

        void close(boolean unmaps) throws ReflectiveOperationException {
            if (unmaps) {
                Field field = Class.forName("sun.misc.Unsafe").getDeclaredField("theUnsafe");
                field.setAccessible(true);
                Object unsafe = field.get(null);
                unsafe.getClass().getMethod("invokeCleaner", ByteBuffer.class).invoke(unsafe, state);
            }
            state = null;
        }
    }

    public static void main(String[] arguments) throws Exception {
        boolean unmaps = arguments[0].equals("fixed");
        double seconds = Double.parseDouble(arguments[1]);
        Path file = Files.createTempFile("restarts", ".state");
        try {
            for (int i = 0; i < RESTARTS; i++) {
                Operator operator = new Operator();
                operator.open(file);
                work(seconds / RESTARTS);
                operator.close(unmaps);
            }
        } finally {
            Files.delete(file);
        }
        System.out.println("restarted " + RESTARTS);
    }

    private static void work(double seconds) throws InterruptedException {
        long end = System.nanoTime() + (long) (seconds * 1e9);
        while (System.nanoTime() < end) {
            // Enough that a map has survived collections, and waits for a full one, by the time that it is lost.
            byte[] garbage = new byte[256 << 10];
            garbage[garbage.length - 1] = 1;
            Thread.sleep(10);
        }
    }
}
