/** A service over a JNI library that loses native memory, called through deep layers. Usage: Handles LIBRARY leak|fixed SECONDS */
public class Handles {
    static final class Codec {
        static native long encode(byte[] input);

        static native void release(long handle);
    }

    static final class Service {
        long handle(int depth, byte[] request) {
            if (depth > 0) {
                return handle(depth - 1, request) + 1;
            }
            return Codec.encode(request); // THE LEAK
        }
    }

    public static void main(String[] arguments) throws InterruptedException {
        System.load(arguments[0]);
        boolean releases = arguments[1].equals("fixed");
        long end = System.nanoTime() + (long) (Double.parseDouble(arguments[2]) * 1e9);
        Service service = new Service();
        while (System.nanoTime() < end) {
            long handle = service.handle(60, new byte[64 << 10]) - 60;
            if (releases) {
                Codec.release(handle);
            }
            Thread.sleep(10);
        }
        System.out.println("served");
    }
}
