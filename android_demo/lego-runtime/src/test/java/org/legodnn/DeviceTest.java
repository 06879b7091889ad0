package org.legodnn;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNotEquals;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;

import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;

/** Fingerprints: phones that differ in their fast cores alone are different devices. */
public class DeviceTest {
    private static final List<String> NONE = Collections.emptyList();

    @Rule public final TemporaryFolder temporary = new TemporaryFolder();

    /** The kernel's list of an ARM processor's cores: part numbers, the little ones first. */
    private File cores(String... parts) throws IOException {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < parts.length; i++) {
            text.append("processor\t: ").append(i).append("\nCPU implementer\t: 0x41\nCPU part\t: ")
                    .append(parts[i]).append("\n\n");
        }
        File file = temporary.newFile();
        Vectors.write(file, text.toString().getBytes(StandardCharsets.UTF_8));
        return file;
    }

    private File fastest(int... kHz) throws IOException {
        File folder = temporary.newFolder();
        for (int i = 0; i < kHz.length; i++) {
            Vectors.write(new File(folder, "cpu" + i + "/cpufreq/cpuinfo_max_freq"),
                    (kHz[i] + "\n").getBytes(StandardCharsets.UTF_8));
        }
        return folder;
    }

    @Test
    public void allCoresCount() throws IOException {
        File nowhere = new File(temporary.getRoot(), "nowhere");
        String one = Device.cpu(cores("0xd05", "0xd05", "0xd0a"), nowhere, NONE);
        String other = Device.cpu(cores("0xd05", "0xd05", "0xd0b"), nowhere, NONE);
        assertEquals("2 x 0x41:0xd05, 1 x 0x41:0xd0a", one);
        assertNotEquals(one, other);
        File same = cores("0xd05", "0xd0a");
        assertEquals("1 x 0x41:0xd05@1800000kHz, 1 x 0x41:0xd0a@2400000kHz",
                Device.cpu(same, fastest(1_800_000, 2_400_000), NONE));
        assertNotEquals(Device.cpu(same, fastest(1_800_000, 2_400_000), NONE),
                Device.cpu(same, fastest(1_800_000, 2_800_000), NONE));
        assertEquals("Maker SM1, 1 x 0x41:0xd05, 1 x 0x41:0xd0a",
                Device.cpu(same, nowhere, Arrays.asList("Maker", "SM1")));
        assertEquals("unknown", Device.cpu(nowhere, nowhere, NONE));
    }

    @Test
    public void elsewhereTheKernelNamesTheProcessor() throws IOException {
        File file = temporary.newFile();
        Vectors.write(file, "model name\t: Some CPU @ 3 GHz\nmodel name\t: Some CPU @ 3 GHz\n"
                .getBytes(StandardCharsets.UTF_8));
        assertEquals("Some CPU @ 3 GHz", Device.cpu(file, temporary.getRoot(), NONE));
    }
}
