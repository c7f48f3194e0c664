import java.util.zip.Deflater;

/** Loaded by many loaders at once. */
public class Churned {
    public static void run() {
        new Deflater().end();
    }
}
