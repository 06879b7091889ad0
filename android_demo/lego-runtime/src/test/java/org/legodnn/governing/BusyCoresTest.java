package org.legodnn.governing;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;

import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;

/** How busy the processors were, as far as the kernel tells. */
public class BusyCoresTest {
    @Rule public final TemporaryFolder temporary = new TemporaryFolder();

    private void write(File file, String line) throws IOException {
        Files.write(file.toPath(), (line + "\nintr 5\n").getBytes(StandardCharsets.UTF_8));
    }

    @Test
    public void theKernelsCountIsOfAllProcesses() throws IOException {
        File stat = temporary.newFile("stat");
        BusyCores cores = new BusyCores(stat);
        write(stat, "cpu  100 0 100 900 50 0 0 0 70 0");
        assertNull("nothing came before", cores.since(10, 1));
        write(stat, "cpu  300 50 150 1500 90 0 10 0 270 0");
        BusyCores.Use use = cores.since(12, 2);
        assertEquals("310 ticks in 2 s", 1.55, use.busy, 1e-12);
        assertEquals(0.5, use.own, 1e-12);
        assertNull("no time has passed", cores.since(12, 2));
    }

    @Test
    public void aTickWithinAFewMillisecondsIsNotTakenForBusyProcessors() throws IOException {
        File stat = temporary.newFile("stat");
        BusyCores cores = new BusyCores(stat);
        write(stat, "cpu  100 0 100 900 50 0 0 0 70 0");
        cores.since(10, 1);
        write(stat, "cpu  101 0 100 900 50 0 0 0 70 0");
        assertNull("as if 3.3 were busy", cores.since(10.003, 1));
        write(stat, "cpu  140 0 110 900 50 0 0 0 70 0");
        assertEquals("50 ticks in 1 s", 0.5, cores.since(11, 1).busy, 1e-12);
    }

    @Test
    public void whereItMayNotBeReadThisProcessIsAllThatIsKnown() throws IOException {
        File stat = new File(temporary.getRoot(), "stat");
        BusyCores cores = new BusyCores(stat);
        cores.since(10, 1);
        BusyCores.Use use = cores.since(11, 1.25);
        assertEquals(0.25, use.busy, 1e-12);
        assertEquals(0.25, use.own, 1e-12);
        double now = 12;
        for (String damaged : new String[] {
            "", "cpu", "cpu 1 2 3", "cpu a b c d e f g h i j", "cpu0 1 1 1 1 1 1 1 1 1"
        }) {
            write(stat, damaged);
            assertTrue(damaged, cores.since(now++, 2).busy >= 0);
        }
    }
}
