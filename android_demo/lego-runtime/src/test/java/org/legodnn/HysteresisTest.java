package org.legodnn;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNotNull;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.io.IOException;
import java.util.Collections;
import java.util.List;

import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;
import org.legodnn.internal.json.JsonNumber;
import org.legodnn.internal.json.JsonObject;

/** How limits follow what is available: as in Python, and what the memory policy makes of it. */
public class HysteresisTest {
    private static final long MB = 1_000_000;

    @Rule public final TemporaryFolder temporary = new TemporaryFolder();

    @Test
    public void levelsFollowAsInPython() {
        int levels = 0;
        for (JsonObject one : Vectors.<JsonObject>list(Vectors.read("hysteresis"), "cases")) {
            String name = (String) one.get("name");
            JsonObject how = Vectors.object(one, "how");
            if (Vectors.object(one, "answer").has("error")) {
                assertThrows(name, WorkloadException.class, () -> hysteresis(how));
                continue;
            }
            Hysteresis hysteresis = hysteresis(how);
            Hysteresis.Level level = Hysteresis.Level.UNLIMITED;
            List<List<Object>> targets = Vectors.list(one, "targets");
            List<JsonNumber> wanted = Vectors.list(Vectors.object(one, "answer"), "levels");
            for (int i = 0; i < targets.size(); i++, levels++) {
                level = hysteresis.follow(
                        level, Vectors.number(targets.get(i).get(1)), Vectors.number(targets.get(i).get(0)));
                double value = wanted.get(i).doubleValue();
                assertEquals(name + " " + i, value, level.value, 1e-9 * value);
            }
        }
        assertTrue(levels > 1000);
    }

    private static Hysteresis hysteresis(JsonObject how) {
        return new Hysteresis(value(how, "slack", 0), value(how, "margin", 0.05), value(how, "growth", 0.15),
                value(how, "hold_s", 10), value(how, "most_hold_s", 300));
    }

    private static double value(JsonObject how, String key, double otherwise) {
        return how.has(key) ? Vectors.number(how.get(key)) : otherwise;
    }

    @Test
    public void memoryThatGoesShortLimitsAtOnceAndThatComesBackLater() {
        MemoryPolicy policy = new MemoryPolicy(0.5, 0.8, new Hysteresis(), 300 * MB);
        assertNull("there is plenty", policy.limit(0, 700 * MB, 100 * MB, 200 * MB, false));
        long low = policy.limit(1, 100 * MB, 100 * MB, 200 * MB, false);
        assertEquals("150 MB less 5 %", 142_500_000, low);
        for (int s = 2; s < 12; s++) {
            assertEquals(low, (long) policy.limit(s, 250 * MB, 100 * MB, 140 * MB, false));
        }
        assertEquals(228 * MB, (long) policy.limit(13, 250 * MB, 100 * MB, 140 * MB, false));
        assertEquals("never none at all", 1, (long) policy.limit(14, 0, 400 * MB, 200 * MB, false));
    }

    @Test
    public void whereTheSystemAsksForMemoryModelsGiveSomeBackButNotAgainAtOnce() {
        MemoryPolicy policy = new MemoryPolicy(0.5, 0.8, new Hysteresis(), 300 * MB);
        assertEquals(152 * MB, (long) policy.limit(0, 700 * MB, 100 * MB, 200 * MB, true));
        assertEquals(152 * MB, (long) policy.limit(1, 700 * MB, 100 * MB, 150 * MB, true));
        assertEquals(114 * MB, (long) policy.limit(11, 700 * MB, 100 * MB, 150 * MB, true));
        assertThrows(WorkloadException.class, () -> new MemoryPolicy(-0.1, 0.8, new Hysteresis(), 1));
        assertThrows(WorkloadException.class, () -> new MemoryPolicy(Double.NaN, 0.8, new Hysteresis(), 1));
        assertThrows(WorkloadException.class, () -> new MemoryPolicy(0.5, 0, new Hysteresis(), 1));
    }

    @Test
    public void aPhoneWithMuchMemoryDoesNotSqueezeSmallModels() throws IOException {
        AffineExecutor executor = new AffineExecutor();
        Store store = TestStores.chain(temporary.newFolder(), "chain");
        Scheduler scheduler = new Scheduler(Collections.singletonList(
                ModelTable.fromStore(store, TestStores.profile(store, executor))), SwitchCharge.NONE);
        for (long available : new long[] {598 * MB, 590 * MB, 550 * MB}) { // of 6 GB
            Long limit = MemoryPolicy.of(scheduler).limit(0, available, 216 * MB, 12_000, false);
            assertNull(available + " available", limit);
        }
        assertNotNull(MemoryPolicy.of(scheduler).limit(0, 300 * MB, 216 * MB, 12_000, false));
    }
}
