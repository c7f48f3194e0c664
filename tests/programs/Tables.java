import java.util.concurrent.CountDownLatch;

/** A library that starts a hundred threads for each table that is opened. A line on stdin opens one. */
public class Tables {
    static final class Table {
        static final int THREADS = 100;

        void open() throws Exception {
            CountDownLatch running = new CountDownLatch(THREADS);
            for (int i = 0; i < THREADS; i++) {
                Thread thread = new Thread(() -> work(running), "table-" + i);
                thread.setDaemon(true);
                thread.start();
            }
            running.await();
        }

        private static void work(CountDownLatch running) {
            running.countDown();
            try {
                Thread.sleep(Long.MAX_VALUE);
            } catch (InterruptedException e) {
                // the end
            }
        }
    }

    public static void main(String[] arguments) throws Exception {
        Helper.await();
        System.out.println("ready");
        while (System.in.read() != -1) {
            System.in.read();
            new Table().open();
            System.out.println("done");
        }
    }
}
