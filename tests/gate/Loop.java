import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Proxy;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.zip.CRC32;
import java.util.zip.Deflater;

/**
 * What a gate judges: iterations with all the noise of a JVM, and with a leak or without. Usage: Loop ITERATIONS BYTES
 * NOISE [SEED] [EVERY]; BYTES of native memory are lost at each iteration (or at each EVERYth one; 0: none),
 * NOISE is how much else happens, 0 for nothing.
 */
public class Loop {
    /** Java code that holds on to what it should have let go. */
    static final class Registry {
        private final List<ByteBuffer> open = new ArrayList<>();

        void open(int bytes) {
            open.add(ByteBuffer.allocateDirect(bytes)); // THE LEAK
        }
    }

    /** Everything that comes and goes in a service, and is no leak. */
    static final class Noise {
        private final Random random;
        private final byte[] input = new byte[32 << 10];
        private final Object[] cache = new Object[256];
        private long sum;

        Noise(long seed) {
            random = new Random(seed);
            random.nextBytes(input);
        }

        void make(int howMuch) throws Exception {
            for (int i = 0; i < howMuch; i++) {
                switch (random.nextInt(6)) {
                    case 0:
                        compress();
                        break;
                    case 1:
                        loadClasses();
                        break;
                    case 2:
                        startThreads();
                        break;
                    case 3:
                        // Released when a collection finds them.
                        sum += ByteBuffer.allocateDirect(1 + random.nextInt(64 << 10)).capacity();
                        break;
                    case 4:
                        cache[random.nextInt(cache.length)] = ByteBuffer.allocateDirect(16);
                        break;
                    default:
                        keepTheCompilerBusy();
                }
                garbage();
            }
        }

        private void compress() {
            Deflater deflater = new Deflater();
            deflater.setInput(input, 0, 1 + random.nextInt(input.length - 1));
            deflater.finish();
            byte[] output = new byte[40 << 10];
            sum += deflater.deflate(output);
            deflater.end();
        }

        private void loadClasses() {
            ClassLoader loader = new URLClassLoader(new URL[0], Loop.class.getClassLoader());
            InvocationHandler handler = (proxy, method, arguments) -> 1L;
            Class<?>[] interfaces = {Callable.class};
            sum += Proxy.newProxyInstance(loader, interfaces, handler).getClass().getName().length();
        }

        private void startThreads() throws InterruptedException {
            Thread[] threads = new Thread[1 + random.nextInt(3)];
            for (int i = 0; i < threads.length; i++) {
                threads[i] = new Thread(() -> new CRC32().update(input, 0, input.length));
                threads[i].start();
            }
            for (Thread thread : threads) {
                thread.join();
            }
        }

        private void keepTheCompilerBusy() {
            String text = "";
            for (int i = 0; i < 200; i++) {
                text = (text + Integer.toHexString(random.nextInt())).substring(0, Math.min(8, 1 + i % 8));
                sum += text.hashCode() % (1 + i);
            }
        }

        private void garbage() {
            byte[][] blocks = new byte[16][];
            for (int i = 0; i < blocks.length; i++) {
                blocks[i] = new byte[1 + random.nextInt(16 << 10)];
            }
            sum += blocks[random.nextInt(blocks.length)].length;
        }
    }

    public static void main(String[] arguments) throws Exception {
        int iterations = Integer.parseInt(arguments[0]);
        int bytes = Integer.parseInt(arguments[1]);
        int howMuch = Integer.parseInt(arguments[2]);
        Noise noise = new Noise(arguments.length > 3 ? Long.parseLong(arguments[3]) : 1);
        int every = arguments.length > 4 ? Integer.parseInt(arguments[4]) : 1;
        Registry registry = new Registry();
        for (int i = 0; i < iterations; i++) {
            noise.make(howMuch);
            if (bytes > 0 && i % every == 0) {
                registry.open(bytes);
            }
            Leakscope.iteration();
        }
        System.out.println("done");
    }
}
