import java.util.zip.Deflater;

/** Starts ARGS[0] programs, several at a time, while other threads allocate; prints what each said and answered. */
public class Spawns {
    static volatile boolean goesOn = true;

    public static void main(String[] args) throws Exception {
        Thread busy = new Thread(() -> {
            while (goesOn) {
                new Deflater().end();
            }
        });
        busy.start();
        Process[] all = new Process[Integer.parseInt(args[0])];
        for (int i = 0; i < all.length; i++) {
            all[i] = new ProcessBuilder("sh", "-c", "echo program " + i + "; exit " + i).start();
        }
        for (Process process : all) {
            System.out.print(new String(process.getInputStream().readAllBytes()));
            System.out.println("answered " + process.waitFor());
        }
        goesOn = false;
        busy.join();
    }
}
