import java.lang.reflect.Field;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Paths;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.zip.Deflater;

/**
 * Memory of known kinds and sizes: MALLOC_MIB of BLOCK_KIB each, FILE_MIB mapped of FILE, THREADS, HEAP_MIB, and DEFLATERS
 * that are garbage. Says "ready" and the committed bytes of the heap, then waits for the end of stdin.
 */
public class Parts {
    static final List<byte[]> HELD = new ArrayList<>();
    static MappedByteBuffer mapped;

    public static void main(String[] args) throws Exception {
        long[] numbers = Arrays.stream(args).mapToLong(arg -> arg.startsWith("/") ? 0 : Long.parseLong(arg)).toArray();
        Helper.await();
        allocate(numbers[0] << 20, numbers[1] << 10);
        if (numbers[2] > 0) {
            map(args[3], numbers[2] << 20);
        }
        start((int) numbers[4]);
        for (long i = 0; i < numbers[5]; i++) {
            byte[] block = new byte[1 << 20];
            Arrays.fill(block, (byte) 1);
            HELD.add(block);
        }
        for (long i = 0; i < numbers[6]; i++) {
            new Deflater();
        }
        System.out.println("ready " + Runtime.getRuntime().totalMemory());
        System.out.flush();
        while (System.in.read() >= 0) {
            Thread.onSpinWait();
        }
    }

    static void allocate(long bytes, long block) throws Exception {
        Field field = sun.misc.Unsafe.class.getDeclaredField("theUnsafe");
        field.setAccessible(true);
        sun.misc.Unsafe unsafe = (sun.misc.Unsafe) field.get(null);
        for (long i = 0; i < bytes / block; i++) {
            unsafe.setMemory(unsafe.allocateMemory(block), block, (byte) 1);
        }
    }

    static void map(String file, long bytes) throws Exception {
        try (FileChannel channel = FileChannel.open(Paths.get(file), StandardOpenOption.CREATE,
                StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            mapped = channel.map(FileChannel.MapMode.READ_WRITE, 0, bytes);
            for (int at = 0; at < bytes; at += 4096) {
                mapped.put(at, (byte) 1);
            }
        }
    }

    static void start(int threads) throws Exception {
        CountDownLatch started = new CountDownLatch(threads);
        for (int i = 0; i < threads; i++) {
            Thread thread = new Thread(() -> {
                started.countDown();
                try {
                    Thread.sleep(1L << 40);
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                }
            });
            thread.setDaemon(true);
            thread.start();
        }
        started.await();
    }
}
