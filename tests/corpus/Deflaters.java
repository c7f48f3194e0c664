import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.util.zip.Deflater;

/** A service that logs its exceptions compressed, and forgets to end the Deflater. Usage: Deflaters leak|fixed SECONDS */
public class Deflaters {
    /** Requests in flight hold their logger for a while, so that it survives young collections. */
    private static final ExceptionLogger[] IN_FLIGHT = new ExceptionLogger[40];

    static final class ExceptionLogger {
        private final Deflater deflater = new Deflater(); // THE LEAK

        int log(Throwable problem, boolean closes) {
            StringWriter text = new StringWriter();
            problem.printStackTrace(new PrintWriter(text));
            deflater.setInput(text.toString().getBytes(StandardCharsets.UTF_8));
            deflater.finish();
            int bytes = deflater.deflate(new byte[8192]);
            if (closes) {
                deflater.end();
            }
            return bytes;
        }
    }

    public static void main(String[] arguments) throws InterruptedException {
        boolean closes = arguments[0].equals("fixed");
        long end = System.nanoTime() + (long) (Double.parseDouble(arguments[1]) * 1e9);
        long bytes = 0;
        for (int i = 0; System.nanoTime() < end; i++) {
            try {
                handle(i);
            } catch (IllegalStateException problem) {
                ExceptionLogger logger = new ExceptionLogger();
                IN_FLIGHT[i % IN_FLIGHT.length] = logger;
                bytes += logger.log(problem, closes);
            }
            Thread.sleep(15);
        }
        System.out.println("compressed " + (bytes > 0));
    }

    private static void handle(int id) {
        byte[][] garbage = new byte[8][];
        for (int i = 0; i < garbage.length; i++) {
            garbage[i] = new byte[32 << 10];
        }
        throw new IllegalStateException("request " + id + " failed after " + garbage.length);
    }
}
