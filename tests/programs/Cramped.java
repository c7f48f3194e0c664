/** Allocates by a library: on its own stack, on a fiber's, and in a handler on a small signal stack. Usage: Cramped LIBRARY */
public class Cramped {
    static native void allocate();

    public static void main(String[] arguments) throws InterruptedException {
        System.load(arguments[0]);
        for (int i = 0; i < 100; i++) {
            Thread.sleep(10);
            allocate();
        }
    }
}
