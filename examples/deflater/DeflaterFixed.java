import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.util.zip.Deflater;

/**
 * A service that logs its exceptions compressed. The fixed twin of DeflaterLeak: ends the Deflater, so its native memory is freed at once.
 *
 * <p>Usage: java DeflaterFixed.java [seconds] [exceptions per second]
 */
public class DeflaterFixed {
    /** Writes stack traces to a log, compressed. */
    static final class ExceptionLogger {
        long bytes;

        void log(Throwable problem) {
            StringWriter text = new StringWriter();
            problem.printStackTrace(new PrintWriter(text));
            bytes += compress(text.toString());
        }

        private int compress(String text) {
            Deflater deflater = new Deflater();
            try {
                deflater.setInput(text.getBytes(StandardCharsets.UTF_8));
                deflater.finish();
                byte[] buffer = new byte[8192];
                return deflater.deflate(buffer);
            } finally {
                deflater.end();
            }
        }
    }

    public static void main(String[] args) throws InterruptedException {
        double seconds = args.length > 0 ? Double.parseDouble(args[0]) : 10;
        double perSecond = args.length > 1 ? Double.parseDouble(args[1]) : 50;
        ExceptionLogger logger = new ExceptionLogger();
        long count = Math.round(seconds * perSecond);
        for (long i = 0; i < count; i++) {
            try {
                handleRequest(i);
            } catch (IllegalStateException problem) {
                logger.log(problem);
            }
            Thread.sleep(Math.round(1000 / perSecond));
        }
        System.out.println("logged " + count + " exceptions, " + logger.bytes + " bytes compressed");
    }

    private static void handleRequest(long id) {
        throw new IllegalStateException("request " + id + " failed");
    }
}
