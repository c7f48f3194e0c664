import java.util.ArrayList;
import java.util.List;
import java.util.zip.Deflater;

/** Leaks Deflaters beneath as many frames as the first argument says, as many as the second says. */
public class Deep {
    static final List<Deflater> LEAKED = new ArrayList<>();

    static void down(int frames) {
        if (frames > 0) {
            down(frames - 1);
        } else {
            LEAKED.add(new Deflater());
        }
    }

    public static void main(String[] args) throws Exception {
        Helper.await();
        for (int i = 0; i < Integer.parseInt(args[1]); i++) {
            down(Integer.parseInt(args[0]));
        }
        System.out.println("leaked " + LEAKED.size());
    }
}
