import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Random;
import java.util.zip.Deflater;

/**
 * Threads that make and drop native memory in many ways, for ARGS[0] milliseconds: Deflaters, direct buffers, threads,
 * deep stacks, compiled and interpreted code. Keeps the last of each.
 */
public class Busy {
    static volatile boolean goesOn = true;
    static volatile long sum;

    static void work(long seed) {
        Random random = new Random(seed);
        Deque<Object> kept = new ArrayDeque<>();
        while (goesOn) {
            deep(random, kept, random.nextInt(40));
            if (kept.size() > 20) {
                Object old = kept.removeFirst();
                if (old instanceof Deflater) {
                    ((Deflater) old).end();
                }
            }
        }
    }

    static void deep(Random random, Deque<Object> kept, int depth) {
        if (depth > 0) {
            deep(random, kept, depth - 1);
            return;
        }
        switch (random.nextInt(4)) {
            case 0:
                Deflater deflater = new Deflater();
                deflater.setInput(new byte[5000]);
                deflater.finish();
                sum += deflater.deflate(new byte[100]);
                kept.add(deflater);
                break;
            case 1:
                kept.add(ByteBuffer.allocateDirect(1 + random.nextInt(100_000)));
                break;
            case 2:
                Thread thread = new Thread(() -> sum += ByteBuffer.allocateDirect(10_000).capacity());
                thread.start();
                try {
                    thread.join();
                } catch (InterruptedException problem) {
                    throw new IllegalStateException(problem);
                }
                break;
            default:
                sum += String.format("%d %s", random.nextInt(), kept.size()).length();
        }
    }

    public static void main(String[] args) throws Exception {
        System.out.println("ready");
        if (args.length > 1) {
            Helper.await();
        }
        Thread[] threads = new Thread[4];
        for (int i = 0; i < threads.length; i++) {
            long seed = i;
            threads[i] = new Thread(() -> work(seed));
            threads[i].start();
        }
        Thread.sleep(Long.parseLong(args[0]));
        goesOn = false;
        for (Thread thread : threads) {
            thread.join();
        }
        System.out.println("done");
    }
}
