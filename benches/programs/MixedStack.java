import java.lang.reflect.Field;
import java.lang.reflect.Method;

/**
 * Times native allocations below a Java stack; prints nanoseconds per allocate+free pair on stdout, then as Churn.
 *
 * <p>Usage: java MixedStack PAIRS JAVA_DEPTH
 */
public class MixedStack {
    private static sun.misc.Unsafe unsafe;

    public static void main(String[] args) throws Exception {
        Field field = sun.misc.Unsafe.class.getDeclaredField("theUnsafe");
        field.setAccessible(true);
        unsafe = (sun.misc.Unsafe) field.get(null);
        long pairs = Long.parseLong(args[0]);
        int depth = Integer.parseInt(args[1]);
        Thread.sleep(500); // the profiler attaches
        down(depth, pairs / 4); // warm up
        long start = System.nanoTime();
        down(depth, pairs);
        System.out.printf(java.util.Locale.ROOT, "%.3f%n", (System.nanoTime() - start) / (double) pairs);
        Churn.printResident();
    }

    private static int down(int depth, long pairs) {
        if (depth > 4) { // main, down ... loop, Unsafe.allocateMemory: about `depth` frames
            return down(depth - 1, pairs) + 1;
        }
        loop(pairs);
        return 0;
    }

    private static void loop(long pairs) {
        for (long i = 0; i < pairs; i++) {
            unsafe.freeMemory(unsafe.allocateMemory(64));
        }
    }
}
