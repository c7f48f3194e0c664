import java.io.File;
import java.io.InputStream;
import java.lang.ref.WeakReference;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.Deflater;

/** The program that the tests run: waits for the probe, then does what its arguments say, in order. */
public class Workload {
    static final List<Object> kept = new ArrayList<>();

    public static void main(String[] arguments) throws Exception {
        String ready = System.getenv("PROBE_READY");
        while (ready != null && !new File(ready).exists()) {
            Thread.sleep(1);
        }
        for (String argument : arguments) {
            switch (argument) {
                case "deflate": leak(200); break;
                case "churn": churn(8, 3000); break;
                case "virtual": virtual(2000); break;
                case "classes": classes(ready, 50); break;
                case "reloads": classes(ready, 500); break;
                case "time": System.out.println(System.currentTimeMillis()); break;
                case "names": names(); break;
                case "flush": flush(ready); break;
                case "exit": System.exit(3); break;
                case "halt": Runtime.getRuntime().halt(4); break;
                case "throw": throw new IllegalStateException("on purpose");
                default: throw new IllegalArgumentException(argument);
            }
        }
    }

    /** Returns when the probe has written down everything so far. */
    static void flush(String ready) throws Exception {
        File request = new File(ready + ".flush");
        request.createNewFile();
        while (request.exists()) {
            Thread.sleep(1);
        }
    }

    static void leak(int count) {
        for (int i = 0; i < count; i++) {
            kept.add(new Deflater()); // the leak
        }
    }

    /** Allocates and frees on many threads, at changing depths. */
    static void churn(int threads, int rounds) throws Exception {
        Thread[] all = new Thread[threads];
        for (int i = 0; i < threads; i++) {
            all[i] = new Thread(() -> {
                for (int round = 0; round < rounds; round++) {
                    descend(round % 40);
                }
            });
            all[i].start();
        }
        for (Thread thread : all) {
            thread.join();
        }
    }

    static int descend(int depth) {
        if (depth > 0) {
            return descend(depth - 1) + 1;
        }
        Deflater deflater = new Deflater();
        deflater.end();
        return 0;
    }

    /** Virtual threads by reflection, since this is compiled for Java 11. */
    static void virtual(int count) throws Exception {
        Method start = Thread.class.getMethod("startVirtualThread", Runnable.class);
        List<Thread> all = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            all.add((Thread) start.invoke(null, (Runnable) Workload::inVirtualThread));
        }
        for (Thread thread : all) {
            thread.join();
        }
    }

    static void inVirtualThread() {
        for (int i = 0; i < 3; i++) {
            Deflater deflater = new Deflater();
            Thread.yield();
            deflater.end();
            try {
                Thread.sleep(1);
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        }
    }

    /** Loads a class again and again in loaders of its own, has its names written, and lets it be unloaded. */
    static void classes(String ready, int count) throws Exception {
        byte[] code;
        try (InputStream in = Workload.class.getResourceAsStream("Churned.class")) {
            code = in.readAllBytes();
        }
        List<WeakReference<Class<?>>> all = new ArrayList<>();
        for (int round = 0; round < 3; round++) {
            List<Class<?>> alive = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                Class<?> type = new OneClass(code).define();
                type.getMethod("run").invoke(null);
                alive.add(type);
                all.add(new WeakReference<>(type));
            }
            flush(ready);
            alive.clear();
            System.gc();
        }
        boolean isUnloaded = false;
        for (WeakReference<Class<?>> reference : all) {
            isUnloaded |= reference.get() == null;
        }
        System.out.println("unloaded " + isUnloaded);
    }

    static class OneClass extends ClassLoader {
        private final byte[] code;

        OneClass(byte[] code) {
            super(Workload.class.getClassLoader());
            this.code = code;
        }

        Class<?> define() {
            return defineClass("Churned", code, 0, code.length);
        }
    }

    static void names() {
        System.out.println(Thread.currentThread().getName());
        System.out.println(new Thread().getName());
    }
}
