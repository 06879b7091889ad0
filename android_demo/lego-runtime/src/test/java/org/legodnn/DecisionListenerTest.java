package org.legodnn;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

import org.junit.After;
import org.junit.Before;
import org.junit.Test;
import org.legodnn.governing.DeviceMonitor;
import org.legodnn.governing.Governor;
import org.legodnn.governing.Readings;

/** Who is told of a governor's decisions is told when the next one may be taken. */
public class DecisionListenerTest extends RuntimeTestBase {
    private static final long TOTAL = 100_000;

    private double now;
    private long available = TOTAL;
    private LegoRuntime runtime;
    private Governor governor;

    @Before
    public void govern() {
        runtime = open(model(chain));
        governor = new Governor(runtime, new DeviceMonitor() {
            @Override
            public Readings read() {
                return new Readings(now, TOTAL, available);
            }

            @Override
            public void start(Runnable changed) { }

            @Override
            public void stop() { }
        });
    }

    @After
    public void end() {
        governor.close();
        runtime.close();
    }

    @Test
    public void aBudgetIsTakenAlsoWhereWhoIsToldOfItFails() {
        governor.setListener((decision, outcome, message, plan) -> {
            throw new IllegalStateException("its own");
        });
        assertThrows(IllegalStateException.class, () -> governor.setBudget(memory(11_500)));
        governor.setListener(null);
        for (int second = 1; second < 20; second++) { // memory is short for a moment, and comes back
            now = second;
            available = second == 1 ? 0 : TOTAL;
            governor.step();
        }
        assertEquals(memory(11_500), runtime.budget());
    }

    @Test(timeout = 60_000)
    public void whileItIsToldAnotherThreadMaySetABudget() throws Exception {
        CountDownLatch set = new CountDownLatch(1);
        governor.setListener((decision, outcome, message, plan) -> {
            governor.setListener(null);
            new Thread(() -> {
                governor.setBudget(memory(11_400));
                set.countDown();
            }).start();
            try {
                assertTrue("it waits for who is told", set.await(20, TimeUnit.SECONDS));
            } catch (InterruptedException e) {
                throw new AssertionError(e);
            }
        });
        governor.setBudget(memory(11_500));
        assertEquals(memory(11_400), runtime.budget());
    }
}
