import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.Random;
import java.util.zip.Deflater;

/**
 * Times what services do with native memory; prints microseconds per turn on stdout, then the KiB that were resident at most.
 *
 * <p>Usage: java Churn deflater|direct|pooled TURNS
 *
 * <ul>
 * <li>deflater: compresses 4 KiB with a Deflater of its own, which it ends
 * <li>direct: a ring of 64 direct buffers of 1 to 64 KiB; what falls out is left to the collector
 * <li>pooled: slices of 16 MiB arenas, as Netty's pool hands them out, filled and given back
 * </ul>
 */
public class Churn {
    private static long sum;

    public static void main(String[] args) throws Exception {
        int turns = Integer.parseInt(args[1]);
        run(args[0], turns / 4); // warm up
        long start = System.nanoTime();
        run(args[0], turns);
        System.out.printf(java.util.Locale.ROOT, "%.3f%n", (System.nanoTime() - start) / 1e3 / turns);
        printResident();
    }

    static void printResident() throws java.io.IOException {
        for (String line : java.nio.file.Files.readAllLines(java.nio.file.Path.of("/proc/self/status"))) {
            if (line.startsWith("VmHWM:")) {
                System.out.println(line.replaceAll("[^0-9]", ""));
            }
        }
    }

    private static void run(String what, int turns) {
        switch (what) {
            case "deflater" -> deflater(turns);
            case "direct" -> direct(turns);
            case "pooled" -> pooled(turns);
            default -> throw new IllegalArgumentException(what);
        }
    }

    private static void deflater(int turns) {
        byte[] input = new byte[4096];
        byte[] output = new byte[8192];
        new Random(1).nextBytes(input);
        for (int i = 0; i < turns; i++) {
            Deflater deflater = new Deflater();
            deflater.setInput(input);
            deflater.finish();
            sum += deflater.deflate(output);
            deflater.end();
        }
    }

    private static void direct(int turns) {
        ByteBuffer[] ring = new ByteBuffer[64];
        Random random = new Random(1);
        for (int i = 0; i < turns; i++) {
            ByteBuffer buffer = ByteBuffer.allocateDirect(1024 + random.nextInt(63 * 1024));
            buffer.putLong(0, i);
            ring[i % ring.length] = buffer;
        }
    }

    private static void pooled(int turns) {
        ArrayDeque<ByteBuffer> free = new ArrayDeque<>();
        for (int arena = 0; arena < 4; arena++) {
            ByteBuffer chunk = ByteBuffer.allocateDirect(16 << 20);
            for (int at = 0; at < chunk.capacity(); at += 64 << 10) {
                free.add(chunk.slice(at, 64 << 10));
            }
        }
        for (int i = 0; i < turns; i++) {
            ByteBuffer buffer = free.poll();
            for (int at = 0; at < buffer.capacity(); at += 64) {
                buffer.putLong(at, i);
            }
            sum += buffer.getLong(0);
            free.add(buffer);
        }
    }
}
