package org.legodnn;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import org.junit.Test;

/** What the device can spare limits a runtime beside its budget. */
public class SpareMemoryTest extends RuntimeTestBase {
    @Test
    public void whatTheDeviceCanSpareLimitsBesideTheBudget() {
        try (LegoRuntime runtime = open(model(chain))) {
            runtime.setSpareMemory(11000L);
            assertEquals(memory(11000), runtime.budget());
            runtime.setBudget(memory(11500));
            assertEquals("the device still cannot spare more", memory(11000), runtime.budget());
            runtime.setBudget(memory(10000));
            assertEquals("the application's own limit is the tighter one", memory(10000), runtime.budget());
            runtime.setSpareMemory(null);
            assertEquals("the application's limit stays", memory(10000), runtime.budget());
            runtime.setBudget(Budget.none());
            assertArrayEquals(TestStores.expected(X, 0, 0), runtime.infer("chain", X), EXACT);
        }
    }

    @Test
    public void belowTheSmallestPlanTheSmallestRuns() {
        try (LegoRuntime runtime = open(model(chain))) {
            for (long spare : new long[] {7999, 1}) {
                runtime.setSpareMemory(spare);
                assertEquals("the smallest plan", 8000, runtime.plan().memoryBytes());
            }
            InfeasibleException error =
                    assertThrows(InfeasibleException.class, () -> runtime.setBudget(memory(100)));
            assertTrue("the budget itself is refused", error.getMessage().contains("at most 100 B"));
            // Takes one block at least as it is pruned most.
            runtime.setBudget(Budget.none().withLatencyMs(10).withQuantile(0.5));
            assertTrue(runtime.plan().get("chain").latencyMs <= 10);
            assertThrows(WorkloadException.class, () -> runtime.setSpareMemory(0L));
            executor.broken = "block";
            assertThrows(StoreException.class, () -> runtime.setSpareMemory(null));
            executor.broken = null;
            runtime.setSpareMemory(null);
            runtime.setBudget(Budget.none());
            assertArrayEquals(TestStores.expected(X, 0, 0), runtime.infer("chain", X), EXACT);
        }
    }
}
