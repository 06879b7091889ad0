import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.Paths;

/**
 * Prints for each native library the largest page size for which its segments are aligned. Devices with pages of 16 KiB
 * map only libraries that are aligned to that, and Google Play asks it of 64-bit ones from Android 15 on.
 *
 * <pre>java PageSize.java LIBRARY.so...</pre>
 */
public final class PageSize {
    private static final int LOAD = 1; // PT_LOAD: a segment that is mapped

    private PageSize() {}

    public static void main(String[] files) throws IOException {
        for (String file : files) {
            long pages = alignment(Paths.get(file));
            System.out.printf("%s: pages of %d KiB%s%n", file.replaceFirst(".*/lib/", "lib/"), pages / 1024,
                    pages < 16384 ? ", not of 16" : "");
        }
    }

    /** The least alignment of a library's mapped segments, in bytes. */
    static long alignment(Path file) throws IOException {
        try (FileChannel channel = FileChannel.open(file)) {
            ByteBuffer elf = channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size());
            elf.order(ByteOrder.LITTLE_ENDIAN);
            if (elf.getInt(0) != 0x464C457F || elf.get(5) != 1) {
                throw new IOException(file + " is no little-endian ELF file");
            }
            boolean wide = elf.get(4) == 2;
            long headers = wide ? elf.getLong(32) : elf.getInt(28);
            int size = elf.getShort(wide ? 54 : 42);
            int count = elf.getShort(wide ? 56 : 44);
            long least = Long.MAX_VALUE;
            for (int i = 0; i < count; i++) {
                int at = (int) headers + i * size;
                if (elf.getInt(at) == LOAD) {
                    least = Math.min(least, wide ? elf.getLong(at + 48) : elf.getInt(at + 28));
                }
            }
            return least;
        }
    }
}
