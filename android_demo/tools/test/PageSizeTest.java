import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;

import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;

/** What is said of the page sizes of native libraries, of files that have nothing but headers. */
public class PageSizeTest {
    private static final int LOAD = 1;
    private static final int NOTE = 4;

    @Rule public final TemporaryFolder temporary = new TemporaryFolder();

    /** An ELF file with segments of some types and alignments. */
    private Path library(String name, boolean wide, int[]... segments) throws IOException {
        int header = wide ? 64 : 52;
        int size = wide ? 56 : 32;
        ByteBuffer elf = ByteBuffer.allocate(header + segments.length * size).order(ByteOrder.LITTLE_ENDIAN);
        elf.put(new byte[] {0x7F, 'E', 'L', 'F', (byte) (wide ? 2 : 1), 1, 1});
        if (wide) {
            elf.putLong(32, header).putShort(54, (short) size).putShort(56, (short) segments.length);
        } else {
            elf.putInt(28, header).putShort(42, (short) size).putShort(44, (short) segments.length);
        }
        for (int i = 0; i < segments.length; i++) {
            int at = header + i * size;
            elf.putInt(at, segments[i][0]);
            if (wide) {
                elf.putLong(at + 48, segments[i][1]);
            } else {
                elf.putInt(at + 28, segments[i][1]);
            }
        }
        Path file = temporary.getRoot().toPath().resolve("lib/" + name);
        Files.createDirectories(file.getParent());
        return Files.write(file, elf.array());
    }

    @Test
    public void theLeastAlignmentOfWhatIsMappedCounts() throws IOException {
        int[] four = {LOAD, 4096};
        int[] sixteen = {LOAD, 16384};
        int[] more = {LOAD, 65536};
        int[] notMapped = {NOTE, 4};
        for (boolean wide : new boolean[] {true, false}) {
            assertEquals(4096, PageSize.alignment(library("four.so", wide, sixteen, four, more)));
            assertEquals(16384, PageSize.alignment(library("sixteen.so", wide, notMapped, sixteen, more)));
        }
    }

    @Test
    public void whatIsNotAlignedForPagesOf16KiBIsPrinted() throws IOException {
        String four = library("arm64-v8a/four.so", true, new int[] {LOAD, 4096}).toString();
        String sixteen = library("arm64-v8a/sixteen.so", true, new int[] {LOAD, 16384}).toString();
        PrintStream before = System.out;
        ByteArrayOutputStream printed = new ByteArrayOutputStream();
        System.setOut(new PrintStream(printed, true));
        try {
            PageSize.main(new String[] {four, sixteen});
        } finally {
            System.setOut(before);
        }
        assertEquals(String.format("lib/arm64-v8a/four.so: pages of 4 KiB, not of 16%n"
                + "lib/arm64-v8a/sixteen.so: pages of 16 KiB%n"), printed.toString());
    }

    @Test
    public void whatIsNoLibraryIsRefused() throws IOException {
        File text = temporary.newFile("text.so");
        Files.write(text.toPath(), new byte[64]);
        assertThrows(IOException.class, () -> PageSize.alignment(text.toPath()));
    }
}
