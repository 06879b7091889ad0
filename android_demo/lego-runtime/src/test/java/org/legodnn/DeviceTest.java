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

    /** The kernel's list of an ARM processor's cores: part numbers, the little ones first, "" for those offline. */
    private File cores(String... parts) throws IOException {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < parts.length; i++) {
            text.append(parts[i].isEmpty() ? ""
                    : "processor\t: " + i + "\nCPU implementer\t: 0x41\nCPU part\t: " + parts[i] + "\n\n");
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
    public void aDeviceIsItselfWhicheverCoresAreOnline() throws IOException {
        File cpus = fastest(1_800_000, 1_800_000, 1_800_000, 2_400_000, 2_400_000, 2_800_000);
        for (int core = 0; core < 6; core++) {
            String sharing = core < 3 ? "0 1 2" : core < 5 ? "3 4" : "5";
            Vectors.write(new File(cpus, "cpu" + core + "/cpufreq/related_cpus"),
                    (sharing + " \n").getBytes(StandardCharsets.UTF_8));
        }
        String all = "3 x 0x41:0xd05@1800000kHz, 2 x 0x41:0xd0a@2400000kHz, 1 x 0x41:0xd0b@2800000kHz";
        assertEquals(all, Device.cpu(cores("0xd05", "0xd05", "0xd05", "0xd0a", "0xd0a", "0xd0b"), cpus, NONE));
        assertEquals(all, Device.cpu(cores("0xd05", "", "", "0xd0a", "", "0xd0b"), cpus, NONE));
        assertEquals(all, Device.cpu(cores("", "0xd05", "", "", "0xd0a", "0xd0b"), cpus, NONE));
    }

    @Test
    public void whereNothingTellsWhichCoresShareAClockThoseThatAreOnlineCountWithTheirOwnClocks() throws IOException {
        assertEquals("1 x 0x41:0xd05@1800000kHz, 1 x 0x41:0xd0a@2400000kHz",
                Device.cpu(cores("0xd05", "", "0xd0a"), fastest(1_800_000, 1_800_000, 2_400_000), NONE));
    }

    @Test
    public void anOldKernelDescribesAllCoresAtOnce() throws IOException {
        File cpus = fastest(1_500_000, 1_500_000);
        Vectors.write(new File(cpus, "cpu0/cpufreq/related_cpus"), "0 1\n".getBytes(StandardCharsets.UTF_8));
        String core = "CPU implementer\t: 0x41\nCPU part\t: 0xd03\n";
        for (String text : new String[] {"processor\t: 0\nprocessor\t: 1\n" + core, "processor\t: 0\n\n" + core}) {
            File file = temporary.newFile();
            Vectors.write(file, text.getBytes(StandardCharsets.UTF_8));
            assertEquals("1 x 0x41:0xd03@1500000kHz", Device.cpu(file, cpus, NONE));
        }
    }

    @Test
    public void elsewhereTheKernelNamesTheProcessor() throws IOException {
        File file = temporary.newFile();
        Vectors.write(file, "model name\t: Some CPU @ 3 GHz\nmodel name\t: Some CPU @ 3 GHz\n"
                .getBytes(StandardCharsets.UTF_8));
        assertEquals("Some CPU @ 3 GHz", Device.cpu(file, temporary.getRoot(), NONE));
    }
}
