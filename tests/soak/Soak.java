import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.zip.Deflater;

/**
 * A JVM in which nothing stays: classes, threads, libraries, buffers, mapped files and Deflaters come and go at a steady
 * pace, until stdin ends. Nothing of it leaks, so what grows beside a twin without leakscope is leakscope's.
 */
public class Soak {
    static final int TURNS_A_SECOND = Integer.getInteger("turns", 20);
    /** Turns whose things stay reachable. */
    static final int KEPT = 64;
    static final int LIBRARY_EVERY = 5;
    static final int COLLECTION_EVERY = 100;

    /** Loaded again and again, each time by a loader of its own, which goes away with all that it loaded. */
    public static class Guest implements Runnable {
        private final Deflater closed = new Deflater();
        private final Deflater forgotten = new Deflater();
        private final ByteBuffer buffer = ByteBuffer.allocateDirect(96 << 10);

        @Override
        public void run() {
            byte[] output = new byte[512];
            closed.setInput(new byte[4096]);
            closed.finish();
            closed.deflate(output);
            closed.end();
            forgotten.setInput(output);
            buffer.put(output);
        }

        /** A library belongs to the loader of the class that loads it. */
        public static void load(String library) {
            System.load(library);
        }
    }

    static final class Loader extends ClassLoader {
        private final byte[] guest;

        Loader(byte[] guest) {
            super(Soak.class.getClassLoader());
            this.guest = guest;
        }

        Class<?> guest() {
            return defineClass("Soak$Guest", guest, 0, guest.length);
        }
    }

    private final Path directory;
    private final byte[] guest;
    private final byte[] library;
    private final ArrayDeque<Object> kept = new ArrayDeque<>();

    Soak(Path directory) throws IOException {
        this.directory = directory;
        guest = Soak.class.getResourceAsStream("Soak$Guest.class").readAllBytes();
        library = Files.readAllBytes(directory.resolve("library.so"));
    }

    void turn(long number) throws Exception {
        Class<?> type = new Loader(guest).guest();
        Runnable instance = (Runnable) type.getDeclaredConstructor().newInstance();
        Thread[] threads = {new Thread(instance, "guest-" + number), new Thread(() -> { }, "empty-" + number)};
        for (Thread thread : threads) {
            thread.start();
        }
        for (Thread thread : threads) {
            thread.join();
        }
        if (number % LIBRARY_EVERY == 0) {
            Path copy = directory.resolve("library-" + number + ".so");
            Files.write(copy, library);
            type.getMethod("load", String.class).invoke(null, copy.toString());
            Files.delete(copy);
        }
        keep(instance);
        keep(map());
        if (number % COLLECTION_EVERY == 0) {
            System.gc();
        }
    }

    private ByteBuffer map() throws IOException {
        try (RandomAccessFile file = new RandomAccessFile(directory.resolve("state").toFile(), "rw")) {
            ByteBuffer mapped = file.getChannel().map(FileChannel.MapMode.READ_WRITE, 0, 200_000);
            mapped.put(0, (byte) 1);
            return mapped;
        }
    }

    private void keep(Object object) {
        kept.add(object);
        if (kept.size() > KEPT) {
            kept.remove();
        }
    }

    public static void main(String[] arguments) throws Exception {
        Soak soak = new Soak(Path.of(arguments[0]));
        long start = System.nanoTime();
        long number = 0;
        System.out.println("ready");
        while (System.in.available() == 0) {
            soak.turn(number++);
            long ahead = start + number * 1_000_000_000L / TURNS_A_SECOND - System.nanoTime();
            if (ahead > 0) {
                Thread.sleep(ahead / 1_000_000);
            }
        }
        System.out.println("turns: " + number);
    }
}
