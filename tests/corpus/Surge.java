import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;

/** A writer that starts threads for each table it opens, and leaves them waiting. Usage: Surge leak|fixed SECONDS */
public class Surge {
    private static final int TABLES = 8;
    private static final int THREADS = 40;

    static final class Table {
        private final CountDownLatch closed = new CountDownLatch(1);
        private final List<Thread> writers = new ArrayList<>();

        void open(int number) {
            for (int i = 0; i < THREADS; i++) {
                Thread writer = new Thread(this::write, "writer-" + number + "-" + i);
                writer.setDaemon(true);
                writers.add(writer);
                writer.start(); // THE LEAK
            }
        }

        void close() throws InterruptedException {
            closed.countDown();
            for (Thread writer : writers) {
                writer.join();
            }
        }

        private void write() {
            try {
                closed.await();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
    }

    public static void main(String[] arguments) throws InterruptedException {
        boolean closes = arguments[0].equals("fixed");
        long pause = (long) (Double.parseDouble(arguments[1]) * 1000 / TABLES);
        for (int number = 0; number < TABLES; number++) {
            Table table = new Table();
            table.open(number);
            if (closes) {
                table.close();
            }
            Thread.sleep(pause);
        }
        System.out.println("opened " + TABLES);
    }
}
