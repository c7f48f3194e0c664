/** Prints the names of all its Java threads, and those that new ones get. Argument: recorded, or plain. */
public class Names {
    public static void main(String[] args) throws Exception {
        if (args[0].equals("recorded")) {
            Helper.await();
        }
        System.out.println("current " + Thread.currentThread().getName());
        System.out.println("next " + new Thread(() -> {}).getName());
        // It comes and goes as the JVM likes.
        Thread.getAllStackTraces().keySet().stream().map(Thread::getName)
            .filter(name -> !name.equals("Common-Cleaner") && !name.equals("Notification Thread"))
            .sorted().forEach(name -> System.out.println("thread " + name));
    }
}
