import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.List;

/** Deploys a plugin at each iteration, with a class loader of its own, and forgets or keeps it. Usage: Loaders leak|fixed ITERATIONS */
public class Loaders {
    /** Keeps every plugin that was ever deployed. */
    private static final List<Object> DEPLOYED = new ArrayList<>();

    /** The only class of a plugin. */
    public static class Part {}

    /** Defines its class itself. */
    static final class Plugin extends ClassLoader {
        private final byte[] code;

        Plugin(byte[] code) {
            super(null);
            this.code = code;
        }

        Object load() throws ReflectiveOperationException {
            return loadClass("Loaders$Part").getConstructor().newInstance();
        }

        @Override
        protected Class<?> findClass(String name) {
            return defineClass(name, code, 0, code.length);
        }
    }

    public static void main(String[] arguments) throws IOException, ReflectiveOperationException {
        boolean keeps = arguments[0].equals("leak");
        byte[] code;
        try (InputStream file = Loaders.class.getResourceAsStream("Loaders$Part.class")) {
            code = file.readAllBytes();
        }
        for (int i = 0; i < Integer.parseInt(arguments[1]); i++) {
            Object part = new Plugin(code).load();
            if (keeps) {
                DEPLOYED.add(part); // THE LEAK
            }
            Leakscope.iteration();
        }
    }
}
