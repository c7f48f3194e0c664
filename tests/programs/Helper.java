/** Waits for leakscope's helper, which is a Java thread called leakscope. */
final class Helper {
    private Helper() {}

    /** Returns once it has attached; ends the program with 99 if it does not within 30 s. */
    static void await() throws InterruptedException {
        for (int i = 0; i < 3000; i++) {
            if (isThere()) {
                // Attached comes a moment before ready: let it finish its first round.
                Thread.sleep(200);
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
}
