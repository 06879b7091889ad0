package org.legodnn;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertSame;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.logging.Handler;
import java.util.logging.LogRecord;
import java.util.logging.Logger;

import org.junit.After;
import org.junit.Before;
import org.junit.Test;
import org.legodnn.governing.Decision;
import org.legodnn.governing.DeviceMonitor;
import org.legodnn.governing.Governor;
import org.legodnn.governing.Outcome;
import org.legodnn.governing.Readings;
import org.legodnn.internal.json.Json;
import org.legodnn.internal.json.JsonObject;

/** A runtime that follows what a device has to spare. */
public class GovernorTest extends RuntimeTestBase {
    private static final Logger LOGGER = Logger.getLogger("legodnn.governor");
    private static final long TOTAL = 100_000; // a tenth of it stays free

    /** A device on which everything happens when a test says so. */
    private static final class Device implements DeviceMonitor {
        volatile double now;
        volatile long available = TOTAL;
        volatile long threshold = -1;
        volatile double busy = -1;
        volatile Runnable changed;

        @Override
        public Readings read() {
            Readings readings = new Readings(now, TOTAL, available).withCores(4, 4);
            readings = threshold < 0 ? readings : readings.withMemoryThreshold(threshold);
            return busy < 0 ? readings : readings.withUse(busy, 0, Collections.emptyList());
        }

        @Override
        public void start(Runnable told) {
            changed = told;
        }

        @Override
        public void stop() {
            changed = null;
        }
    }

    private final Device device = new Device();
    private final List<Outcome> outcomes = Collections.synchronizedList(new ArrayList<>());
    private final List<String> messages = Collections.synchronizedList(new ArrayList<>());
    private LegoRuntime runtime;
    private Governor governor;

    @Before
    public void start() {
        govern(open(model(chain))); // 12000 bytes at the most, 8000 at the least
    }

    private void govern(LegoRuntime other) {
        LOGGER.setUseParentHandlers(false);
        runtime = other;
        governor = new Governor(runtime, device);
        governor.setListener((decision, outcome, message, plan) -> {
            outcomes.add(outcome);
            messages.add(message);
        });
    }

    @After
    public void end() {
        LOGGER.setUseParentHandlers(true);
        governor.close();
        runtime.close();
        assertEquals(0, executor.open.get());
    }

    private Decision stepAt(double now) {
        device.now = now;
        return governor.step();
    }

    @Test
    public void memoryIsGivenBackAtOnceAndTakenAgainAfterAWhile() {
        assertTrue("nothing is short", stepAt(0).changes().isEmpty());
        device.available = 10_000 - 3000; // 3000 too little for the reserve
        Decision decision = stepAt(1);
        assertEquals("memory", decision.changes().get(0).what());
        assertTrue(decision.changes().get(0).why().contains("7 kB of 100 kB available"));
        assertEquals(9000 * 0.95, runtime.budget().memoryBytes(), 1);
        assertTrue(runtime.plan().memoryBytes() <= 8550);
        device.available = TOTAL;
        assertTrue("it may not last", stepAt(2).changes().isEmpty());
        assertTrue(stepAt(11.5).changes().isEmpty());
        stepAt(12.5);
        assertNull(runtime.budget().memoryBytes());
        assertEquals(12_000, runtime.plan().memoryBytes());
        assertEquals(Arrays.asList(Outcome.APPLIED, Outcome.APPLIED), outcomes);
    }

    @Test
    public void noDecisionIsWiderThanTheApplicationsBudget() {
        governor.setBudget(memory(10_500));
        assertEquals(memory(10_500), runtime.budget());
        device.available = 10_000 - 1500;
        stepAt(1);
        assertTrue(runtime.budget().memoryBytes() < 10_500);
        device.available = TOTAL;
        stepAt(2);
        stepAt(30);
        assertEquals(memory(10_500), runtime.budget());
        InfeasibleException error = assertThrows(InfeasibleException.class, () -> governor.setBudget(memory(100)));
        assertEquals(8000, error.report().clash().get(0).needed, 0);
        assertEquals(memory(10_500), runtime.budget());
    }

    @Test
    public void whereNothingFitsTheNearestPlanRuns() {
        device.available = 0;
        stepAt(1);
        assertEquals(8000, runtime.plan().memoryBytes());
        assertEquals(Collections.singletonList(Outcome.NEAREST), outcomes);
        assertTrue(messages.get(0), messages.get(0).startsWith("no plan holds memory at most"));
    }

    @Test
    public void aSwitchThatFailsLeavesThePlanAndIsTriedAgain() {
        executor.broken = "s2";
        device.available = 10_000 - 3500;
        Plan before = runtime.plan();
        stepAt(1);
        assertSame(before, runtime.plan());
        assertEquals(Collections.singletonList(Outcome.KEPT), outcomes);
        executor.broken = null;
        stepAt(10);
        assertEquals("not yet", 1, outcomes.size());
        stepAt(11.5);
        assertEquals(Arrays.asList(Outcome.KEPT, Outcome.APPLIED), outcomes);
        assertTrue(runtime.plan().memoryBytes() < 9000);
    }

    @Test
    public void modelsThatGetSlowerArePlannedSlower() throws Exception {
        governor.setBudget(Budget.none().withLatencyMs(19).withQuantile(0.5)); // the originals take 12 ms
        outcomes.clear();
        governor.start();
        InferenceListener observer = runtime.inferenceListener();
        governor.stop();
        assertNull(runtime.inferenceListener());
        awaitNoThread(); // its step could fall between what is seen here and what is asked
        for (int i = 0; i < 17; i++) {
            observer.onInference(runtime.plan().get("chain"), 24);
        }
        Decision decision = stepAt(1);
        assertEquals(2, decision.slowdown().get("chain"), 1e-9);
        assertTrue(decision.changes().toString().contains("its inferences take 2.00 times as long as profiled"));
        ModelPlan planned = runtime.plan().get("chain");
        assertEquals("9 ms by the profile", 18, planned.latencyMs, 1e-9);
        assertTrue("half of them: what was seen of these counts, " + planned.quantileMs, planned.quantileMs <= 19);
    }

    @Test
    public void whoHeardOfInferencesHearsOfThemWhileAGovernorWatches() {
        List<String> heard = new ArrayList<>();
        InferenceListener own = (plan, ms) -> heard.add(plan.name());
        runtime.setInferenceListener(own);
        governor.start();
        governor.start();
        runtime.infer("chain", X);
        assertEquals(Collections.singletonList("chain"), heard);
        governor.stop();
        governor.stop();
        assertSame(own, runtime.inferenceListener());
    }

    @Test
    public void twoGovernorsOfOneRuntimeAreRefusedAndOneThatIsClosedIsNotStarted() {
        governor.start();
        try (Governor other = new Governor(runtime, new Device())) {
            WorkloadException error = assertThrows(WorkloadException.class, other::start);
            assertTrue(error.getMessage(), error.getMessage().contains("another governor"));
            governor.close();
            assertThrows(ClosedException.class, governor::start);
            assertThrows(ClosedException.class, () -> governor.setBudget(memory(1))); // though no plan holds that
            other.start();
        }
        assertNull(runtime.inferenceListener());
    }

    @Test
    public void oneThatIsMadeAnewStartsFromTheApplicationsBudgetAndNotFromWhatAnotherOneLeft() {
        governor.setBudget(memory(11_500));
        int full = (int) runtime.plan().memoryBytes();
        device.available = 10_000 - 3000;
        stepAt(1);
        governor.close();
        assertTrue(runtime.plan().memoryBytes() < full);
        governor = new Governor(runtime, device); // while the device is as short as before
        stepAt(2);
        assertTrue(runtime.plan().memoryBytes() < full);
        governor.close();
        device.available = TOTAL;
        governor = new Governor(runtime, device);
        stepAt(3);
        assertEquals(memory(11_500), runtime.budget());
        assertEquals(full, runtime.plan().memoryBytes());
    }

    @Test
    public void whatAnApplicationSetsAfterAGovernorHasEndedIsItsOwn() {
        device.available = 0;
        stepAt(1);
        governor.close();
        assertEquals(Budget.none(), runtime.ownBudget());
        runtime.setBudget(memory(11_500));
        assertNull(runtime.ownBudget());
        device.available = TOTAL;
        governor = new Governor(runtime, device);
        stepAt(2);
        assertEquals(memory(11_500), runtime.budget());
    }

    @Test
    public void computeFollowsWhatOthersLeaveWhereRatesAreKnown() {
        end();
        LegoModel rated = model(chain);
        govern(open(rated.withTable(rated.table.withRateHz(300)))); // 3.6 cores for the originals
        device.busy = 0.1;
        assertTrue(stepAt(0).changes().isEmpty());
        device.busy = 1.2;
        Decision decision = stepAt(1);
        assertEquals("cores", decision.changes().get(0).what());
        assertEquals(2.8 * 0.95, decision.budget().cores(), 1e-9);
        assertTrue(runtime.plan().cores() <= 2.8 * 0.95);
    }

    @Test
    public void aPhonesModelsAreLimitedOnlyWhereThePhoneIsShort() {
        long mb = 1_000_000;
        device.threshold = 216 * mb;
        for (long available : new long[] {598 * mb, 590 * mb, 550 * mb}) { // of 6 GB
            device.available = available;
            assertNull(available + " available", governor.step().budget().memoryBytes());
        }
        device.available = 300 * mb;
        assertEquals(Long.valueOf(1), governor.step().budget().memoryBytes());
    }

    @Test
    public void whatIsKeptForTheWayBackIsGivenFirst() {
        runtime.setBudget(memory(10_000));
        runtime.setBudget(Budget.none());
        assertTrue(runtime.keptBytes() > 0);
        device.available = 12_000;
        assertTrue(stepAt(1).changes().isEmpty());
        assertTrue(runtime.keptBytes() > 0);
        device.available = 10_000; // what is kept is all that there is
        assertTrue(stepAt(2).changes().isEmpty());
        assertEquals(0, runtime.keptBytes());
        assertEquals("the plan goes last", 3, executor.open.get());
    }

    @Test
    public void everyDecisionIsALineOfJson() {
        List<String> lines = new ArrayList<>();
        Handler handler = new Handler() {
            @Override
            public void publish(LogRecord record) {
                lines.add(record.getMessage());
            }

            @Override
            public void flush() {
                // kept in a list
            }

            @Override
            public void close() {
                // nothing is open
            }
        };
        LOGGER.addHandler(handler);
        try {
            device.available = 0;
            stepAt(1);
        } finally {
            LOGGER.removeHandler(handler);
        }
        assertEquals(1, lines.size());
        assertFalse(lines.get(0).contains("\n"));
        JsonObject line = (JsonObject) Json.parse(lines.get(0));
        assertEquals("decision", line.get("event"));
        assertEquals("nearest", line.get("outcome"));
        for (String key : Arrays.asList("time", "message", "budget", "slowdown", "tail", "changes", "readings", "plan",
                "predicted")) {
            assertTrue(key, line.has(key));
        }
        assertTrue(((String) line.get("message")).contains("any one of these would do"));
    }

    @Test
    public void theThreadDecidesWhenItIsWokenAndEndsWithTheRuntime() throws Exception {
        CountDownLatch decided = new CountDownLatch(1);
        governor.start();
        governor.start(); // once is enough
        governor.setListener((decision, outcome, message, plan) -> decided.countDown());
        device.available = 0;
        device.changed.run();
        assertTrue(decided.await(60, TimeUnit.SECONDS));
        assertEquals(8000, runtime.plan().memoryBytes());
        runtime.close();
        awaitNoThread();
        governor.stop();
        governor.close();
        assertThrows(ClosedException.class, governor::step);
    }

    @Test
    public void aStepThatFailsIsNotTheLastOne() throws Exception {
        CountDownLatch failed = new CountDownLatch(1);
        device.available = 0;
        governor.setListener((decision, outcome, message, plan) -> {
            failed.countDown();
            throw new IllegalStateException("a listener's fault");
        });
        governor.start();
        assertTrue(failed.await(60, TimeUnit.SECONDS));
        CountDownLatch decided = new CountDownLatch(1);
        governor.setListener((decision, outcome, message, plan) -> decided.countDown());
        device.available = TOTAL;
        for (int i = 0; i < 12_000 && decided.getCount() > 0; i++) {
            device.now += 100;
            device.changed.run();
            Thread.sleep(5);
        }
        assertEquals(0, decided.getCount());
        governor.stop();
    }

    @Test
    public void aDecisionThatCouldNotBeAppliedIsTriedAgainWhateverTheErrorWas() {
        governor.step();
        device.available = 0;
        executor.failure = new OutOfMemoryError("injected");
        assertThrows(OutOfMemoryError.class, governor::step);
        executor.failure = null;
        for (int i = 0; i < 11; i++) {
            device.now += 1;
            governor.step();
        }
        assertEquals(8000, runtime.plan().memoryBytes());
    }

    private void awaitNoThread() throws InterruptedException {
        for (int i = 0; i < 12_000 && threads() > 0; i++) {
            Runnable changed = device.changed;
            if (changed != null) { // or else the thread has just ended, and watches the device no more
                changed.run();
            }
            Thread.sleep(5);
        }
        assertEquals(0, threads());
    }

    private static int threads() {
        int count = 0;
        for (Thread thread : Thread.getAllStackTraces().keySet()) {
            count += thread.getName().equals("legodnn-governor") ? 1 : 0;
        }
        return count;
    }

    @Test
    public void whatIsLearnedInUseIsToldForKeeping() {
        assertTrue(governor.learned("chain").isEmpty());
        governor.start();
        for (int i = 0; i < 60; i++) {
            runtime.infer("chain", X);
        }
        governor.stop();
        Tail tail = governor.learned("chain").get(0);
        assertEquals("use", tail.condition());
        assertEquals(0.98, tail.stretch().lastKey(), 0); // some 60 were seen, enough for 1 of 50 and not of 100
        assertTrue(governor.learned("another").isEmpty());
    }
}
