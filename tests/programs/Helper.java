import java.io.File;
import java.io.IOException;
import java.nio.file.Files;

/** Waits for leakscope's helper, which is a Java thread called leakscope. */
final class Helper {
    private Helper() {}

    /** Looks without a break at which it must sleep, 10 ms apart: longer than the 100 ms between its rounds. */
    private static final int LOOKS = 15;

    /**
     * Returns once it has done its first round, from when on samples have Java frames; at once without leakscope. Ends the
     * program with 99 if it takes longer than 30 s.
     */
    static void await() throws Exception {
        if (System.getenv("LEAKSCOPE_SESSION") == null) {
            return;
        }
        int asleep = 0;
        for (int i = 0; i < 3000; i++) {
            // Attached comes before ready: it has work to do then. When it sleeps it waits for its next round.
            asleep = isThere() && isAsleep() ? asleep + 1 : 0;
            if (asleep == LOOKS) {
                return;
            }
            Thread.sleep(10);
        }
        System.err.println("program: no helper thread in 30 s");
        Runtime.getRuntime().halt(99);
    }

    private static boolean isThere() {
        return Thread.getAllStackTraces().keySet().stream().anyMatch(thread -> thread.getName().equals("leakscope"));
    }

    private static boolean isAsleep() {
        for (File task : new File("/proc/self/task").listFiles()) {
            try {
                if (Files.readString(task.toPath().resolve("stat")).contains(" (leakscope) S ")) {
                    return true;
                }
            } catch (IOException ended) {
                // a thread that is no more
            }
        }
        return false;
    }
}
