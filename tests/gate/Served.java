import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/** Answers each line, and says nothing to leakscope. Usage: Served BYTES, which are lost with each answer. */
public class Served {
    private static final List<ByteBuffer> KEPT = new ArrayList<>();

    static void answer(int bytes) {
        if (bytes > 0) {
            KEPT.add(ByteBuffer.allocateDirect(bytes));
        }
    }

    public static void main(String[] arguments) throws Exception {
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in));
        while (requests.readLine() != null) {
            answer(Integer.parseInt(arguments[0]));
            System.out.println("answer");
        }
    }
}
