import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.util.zip.Deflater;

/**
 * A service that logs its exceptions compressed. Forgets to call end() on the Deflater: its native memory (about 256 KiB) lives until the garbage collector finds the object.
 *
 * <p>Usage: java DeflaterLeak.java [seconds] [exceptions per second]
 */
public class DeflaterLeak {
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
            deflater.setInput(text.getBytes(StandardCharsets.UTF_8));
            deflater.finish();
            byte[] buffer = new byte[8192];
            return deflater.deflate(buffer);
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
