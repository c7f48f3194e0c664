import java.io.RandomAccessFile;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A task that maps its state anew at each restart, and never lets go of the old one. A line on stdin restarts it. */
public class Mapping {
    static final class Operator {
        static final List<MappedByteBuffer> FORGOTTEN = new ArrayList<>();

        void open(Path file) throws Exception {
            try (RandomAccessFile state = new RandomAccessFile(file.toFile(), "rw")) {
                FORGOTTEN.add(state.getChannel().map(FileChannel.MapMode.READ_WRITE, 0, 1_234_567));
            }
        }
    }

    public static void main(String[] arguments) throws Exception {
        Path file = Path.of(arguments[0]);
        System.out.println("ready");
        while (System.in.read() != -1) {
            // A line is one byte and its end.
            System.in.read();
            new Operator().open(file);
            System.out.println("done");
        }
    }
}
