import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import java.util.zip.Inflater;

/** Takes memory from a line that has never run before at each of 10 iterations. Usage: Fresh */
public class Fresh {
    private static final List<Inflater> OPEN = new ArrayList<>();

    private static final List<Supplier<Inflater>> LINES = List.of(
            () -> new Inflater(),
            () -> new Inflater(),
            () -> new Inflater(),
            () -> new Inflater(),
            () -> new Inflater(),
            () -> new Inflater(),
            () -> new Inflater(),
            () -> new Inflater(),
            () -> new Inflater(),
            () -> new Inflater());

    public static void main(String[] arguments) throws Exception {
        Helper.await();
        for (Supplier<Inflater> line : LINES) {
            OPEN.add(line.get());
            Leakscope.iteration();
        }
    }
}
