import java.nio.charset.StandardCharsets;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.atomic.AtomicLong;
import java.util.zip.Deflater;
import java.util.zip.Inflater;

/** A busy server: threads, classes, collections, compression, sessions that come and go. Usage: Server leak|fixed SECONDS */
public class Server {
    private static final ConcurrentHashMap<Long, Session> SESSIONS = new ConcurrentHashMap<>();
    private static final AtomicLong NEXT = new AtomicLong();

    static final class Session {
        private final Deflater out = new Deflater(6); // THE LEAK
        private final Inflater in = new Inflater();

        int exchange(String text) throws Exception {
            byte[] packed = new byte[4096];
            out.reset();
            out.setInput(text.getBytes(StandardCharsets.UTF_8));
            out.finish();
            int length = out.deflate(packed);
            in.reset();
            in.setInput(packed, 0, length);
            return in.inflate(new byte[16384]);
        }

        void close() {
            out.end();
            in.end();
        }
    }

    public static void main(String[] arguments) throws Exception {
        boolean closes = arguments[0].equals("fixed");
        long end = System.nanoTime() + (long) (Double.parseDouble(arguments[1]) * 1e9);
        ExecutorService pool = Executors.newFixedThreadPool(4);
        for (int worker = 0; worker < 4; worker++) {
            pool.execute(() -> serve(closes, end));
        }
        pool.shutdown();
        while (!pool.isTerminated()) {
            Thread.sleep(50);
        }
        System.out.println("served " + (NEXT.get() > 0));
    }

    private static void serve(boolean closes, long end) {
        try {
            while (System.nanoTime() < end) {
                long id = NEXT.incrementAndGet();
                Session session = new Session();
                SESSIONS.put(id, session);
                String text = "request " + id + " " + "x".repeat(ThreadLocalRandom.current().nextInt(4000));
                for (int i = 0; i < 20; i++) {
                    session.exchange(text);
                }
                // Of ten sessions one stays in the map, with all that it holds.
                if (closes || id % 10 != 0) {
                    SESSIONS.remove(id);
                    session.close();
                }
                Thread.sleep(5);
            }
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
    }
}
