import java.util.zip.Deflater;

/** The shortest life of a JVM that has native memory. */
public class Hello {
    public static void main(String[] args) {
        new Deflater();
        System.out.println("hello");
    }
}
