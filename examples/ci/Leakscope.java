import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;

/**
 * Tells {@code leakscope check} that an iteration is over.
 *
 * <p>Copy this file into your tests; it needs JDK 8 and nothing else. Where leakscope does not watch, it does nothing.
 *
 * <pre>
 *   for (int i = 0; i &lt; 200; i++) {
 *       service.handle(request());
 *       Leakscope.iteration();
 *   }
 * </pre>
 *
 * <p>It waits while leakscope looks at the memory of this process: the next iteration must not begin before that. It
 * may be called by any thread.
 */
public final class Leakscope {
    private static final byte[] LINE = "sync\n".getBytes(StandardCharsets.US_ASCII);

    private static OutputStream lines;
    private static InputStream answers;
    private static boolean isOver;

    private Leakscope() {}

    /** An iteration is over: nothing that was made for it should be left. */
    public static synchronized void iteration() {
        if (isOver) {
            return;
        }
        try {
            isOver = lines == null && !open();
            if (!isOver) {
                lines.write(LINE);
                // The end of the answers: leakscope is gone.
                isOver = answers.read() < 0;
            }
        } catch (IOException gone) {
            isOver = true;
        }
    }

    private static boolean open() throws IOException {
        String to = System.getenv("LEAKSCOPE_CTL");
        String from = System.getenv("LEAKSCOPE_ACK");
        if (to == null || from == null) {
            return false;
        }
        answers = new FileInputStream(from);
        lines = new FileOutputStream(to, true);
        return true;
    }
}
