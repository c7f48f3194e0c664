/**
 * What {@code leakscope check --selftest} runs where there is a JDK: iterations that forget to end an Inflater, or do
 * not. Usage: SelfTest leak|clean ITERATIONS
 */
class SelfTest {
    private static final java.util.List<java.util.zip.Inflater> OPEN = new java.util.ArrayList<>();

    static void handle(boolean leaks) {
        java.util.zip.Inflater inflater = new java.util.zip.Inflater();
        if (leaks) {
            OPEN.add(inflater);
        } else {
            inflater.end();
        }
    }

    public static void main(String[] arguments) {
        for (int i = 0; i < Integer.parseInt(arguments[1]); i++) {
            handle(arguments[0].equals("leak"));
            Leakscope.iteration();
        }
    }
}
