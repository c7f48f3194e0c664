import java.util.ArrayList;
import java.util.List;
import java.util.zip.Deflater;

/**
 * A service in which a feature is switched on when it has run for a while: answers are packed from then on. The leak keeps
 * each Deflater, the fixed form a few. Usage: Switched leak|fixed SECONDS
 */
public class Switched {
    static final class Packer {
        private static final List<Deflater> KEPT = new ArrayList<>();
        private final boolean keepsAll;

        Packer(boolean keepsAll) {
            this.keepsAll = keepsAll;
        }

        int pack(byte[] answer) {
            Deflater deflater = new Deflater(); // THE LEAK
            deflater.setInput(answer);
            deflater.finish();
            int length = deflater.deflate(new byte[answer.length]);
            KEPT.add(deflater);
            if (!keepsAll && KEPT.size() > 20) {
                KEPT.remove(0).end();
            }
            return length;
        }
    }

    public static void main(String[] arguments) throws InterruptedException {
        Packer packer = new Packer(arguments[0].equals("leak"));
        double seconds = Double.parseDouble(arguments[1]);
        long begin = System.nanoTime();
        long end = begin + (long) (seconds * 1e9);
        long switched = begin + (long) (0.45 * seconds * 1e9);
        long packed = 0;
        while (System.nanoTime() < end) {
            byte[] answer = new byte[4096];
            if (System.nanoTime() > switched) {
                packed += packer.pack(answer);
            }
            Thread.sleep(2);
        }
        System.out.println("packed " + (packed > 0));
    }
}
