import java.util.ArrayList;
import java.util.List;
import java.util.zip.Deflater;

/** Leaks 200 Deflaters from as many virtual threads. By reflection: it is compiled for JDK 11. */
public class Virtual {
    static final List<Deflater> LEAKED = new ArrayList<>();

    static void leak() {
        Deflater deflater = new Deflater();
        synchronized (LEAKED) {
            LEAKED.add(deflater);
        }
    }

    public static void main(String[] args) throws Exception {
        Helper.await();
        var start = Thread.class.getMethod("startVirtualThread", Runnable.class);
        var threads = new ArrayList<Thread>();
        for (int i = 0; i < 200; i++) {
            threads.add((Thread) start.invoke(null, (Runnable) Virtual::leak));
        }
        for (Thread thread : threads) {
            thread.join();
        }
        System.out.println("leaked " + LEAKED.size());
    }
}
