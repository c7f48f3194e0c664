import java.nio.charset.StandardCharsets;
import java.util.zip.Deflater;

/**
 * A leak test: the same work again and again, and after each iteration a word to leakscope. Put your own work into
 * {@code iteration}.
 *
 * <pre>
 *   javac -d classes LeakTest.java Leakscope.java
 *   leakscope check --iterations 200 -- java -cp classes LeakTest
 * </pre>
 */
public class LeakTest {
    /** One unit of work: nothing that was made for it should be left when it returns. */
    static void iteration(int number) {
        Deflater deflater = new Deflater();
        try {
            deflater.setInput(("request " + number % 10).getBytes(StandardCharsets.UTF_8));
            deflater.finish();
            deflater.deflate(new byte[1024]);
        } finally {
            // Without this it is freed at collections only: leakscope report calls that GC-BOUND.
            deflater.end();
        }
    }

    public static void main(String[] arguments) {
        // leakscope asks it to end after --iterations.
        for (int i = 0; ; i++) {
            iteration(i);
            Leakscope.iteration();
        }
    }
}
