import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.zip.Deflater;

/** Ends in one of three ways (return, exit, halt) and prints the microsecond in which it began to. */
public class Exits {
    static Deflater deflater;

    public static void main(String[] args) throws Exception {
        deflater = new Deflater();
        // Long enough for a helper to have attached, with leakscope or without.
        Thread.sleep(Long.parseLong(args[1]));
        System.out.println(ChronoUnit.MICROS.between(Instant.EPOCH, Instant.now()));
        System.out.flush();
        switch (args[0]) {
            case "exit":
                System.exit(0);
                break;
            case "halt":
                Runtime.getRuntime().halt(0);
                break;
            default:
        }
    }
}
