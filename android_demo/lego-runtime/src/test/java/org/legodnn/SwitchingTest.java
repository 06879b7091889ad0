package org.legodnn;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNotNull;
import static org.junit.Assert.assertSame;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;

import org.junit.Test;
import org.legodnn.internal.json.Json;
import org.legodnn.internal.json.JsonObject;

/** Switches replace only what changes, may fail, and inference goes on meanwhile. */
public class SwitchingTest extends RuntimeTestBase {
    @Test
    public void onlyWhatChangesIsLoaded() {
        try (LegoRuntime runtime = open(model(chain), model(graph))) {
            assertEquals(7, executor.loads.size());
            executor.loads.clear();
            PlanSwitch done = runtime.setBudget(memory(27000)); // 28000 without a limit
            assertEquals(Collections.singletonList("block1/s1.tflite"), executor.loads);
            assertEquals(Collections.singletonList("chain/block1=s1"), done.loaded);
            assertEquals(Collections.singletonList("chain/block1=s0"), done.dropped);
            assertSame(done, runtime.lastSwitch());
            assertTrue(done.planMs > 0 && done.switchMs > 0);
            executor.loads.clear();
            assertTrue("nothing changes", runtime.setBudget(memory(27500)).loaded.isEmpty());
            assertTrue(executor.loads.isEmpty());
            assertEquals("what is not used is let go", 7, executor.open.get());
        }
        assertEquals("closing lets go of everything", 0, executor.open.get());
    }

    @Test
    public void aHeadThatIsAChoiceOfPrecisionsIsProfiledPlannedAndSwitchedAlone() throws IOException {
        Store store = TestStores.choiceOfHeads(temporary.newFolder("heads"), "heads");
        Profile profile = Profiler.profile(store, executor, ProfilerOptions.DEFAULTS.withPause(() -> { })
                .withRounds(2).withWeighings(1).withMemory(() -> 1000L * executor.open.get()), null);
        assertEquals(9, profile.options.size());
        assertEquals(3, LegoModel.of(store, profile).table.blocks().size());
        try (LegoRuntime runtime = open(model(store))) {
            assertArrayEquals(TestStores.expected(X, 0, 0, 0), runtime.infer("heads", X), EXACT);
            executor.loads.clear();
            runtime.setBudget(memory(10_000)); // of 12000; other heads cost the least accuracy
            assertEquals(Collections.singletonList("head/s2.tflite"), executor.loads);
            assertEquals("s2", runtime.plan().get("heads").options.get("head"));
            assertArrayEquals(TestStores.expected(X, 0, 0, 2), runtime.infer("heads", X), EXACT);
            assertEquals(0.9 * (1 - 0.002), runtime.plan().get("heads").accuracy, 1e-9);
        }
        assertEquals(0, executor.open.get());
    }

    @Test
    public void whatRanLatelyStaysLoadedAsFarAsThereIsRoom() {
        try (LegoRuntime runtime = open(model(chain))) { // 4000 + 4000 + 4000 bytes
            runtime.setBudget(memory(8000)); // 2000 + 2000 + 4000
            assertEquals("no room", 0, runtime.keptBytes());
            runtime.setBudget(Budget.none());
            assertEquals("both small options are kept", 4000, runtime.keptBytes());
            assertEquals(5, executor.open.get());
            executor.loads.clear();
            runtime.setBudget(Budget.none().withLatencyMs(8).withQuantile(0.5));
            assertEquals("nothing is loaded on the way back", Collections.emptyList(), executor.loads);
            assertArrayEquals(TestStores.expected(X, 2, 2), runtime.infer("chain", X), EXACT);
            assertEquals("no more than what runs", 8000, runtime.keptBytes());
            runtime.setBudget(memory(12_500));
            assertEquals(Collections.emptyList(), executor.loads);
            assertEquals("room for 500 bytes", 0, runtime.keptBytes());
            assertEquals(3, executor.open.get());
            runtime.setBudget(memory(11_000));
            assertEquals("a smaller limit than what runs and is kept", 0, runtime.keptBytes());
        }
        assertEquals(0, executor.open.get());
    }

    /** The chain, as if measured with some thread counts too, with which it takes half as long. */
    private LegoModel threaded(int... counts) {
        JsonObject document = (JsonObject) Json.parse(TestStores.profile(chain, executor).toJson());
        for (JsonObject option : Vectors.<JsonObject>list(document, "options")) {
            List<Object> latency = new ArrayList<>(Vectors.<Object>list(option, "latency"));
            double ms = Double.parseDouble(((JsonObject) latency.get(0)).get("median_ms").toString()) / 2;
            for (int threads : counts) {
                latency.add(new JsonObject().put("threads", threads).put("runs", 10).put("min_ms", ms)
                        .put("median_ms", ms).put("p95_ms", ms));
            }
            option.put("latency", latency);
        }
        return LegoModel.of(chain, Profile.parse(document.toString()));
    }

    @Test
    public void aCompositionThatWouldHaveTooManyThreadsInPoolsIsRefusedAndToldWhatWouldDo() {
        LegoModel many = threaded(20, 40);
        WorkloadException refused = assertThrows(WorkloadException.class, () -> open(many));
        for (String part : new String[] {"3 segments with 40 threads", "117 threads in pools", "64 are the most",
            "withThreads(20)"}) {
            assertTrue(refused.getMessage(), refused.getMessage().contains(part));
        }
        assertEquals("nothing was loaded for it", 0, executor.loads.size());
        try (LegoRuntime runtime = open(many.withTable(many.table().withThreads(20)))) {
            assertEquals("as many as planned", 20, runtime.plan().get("chain").threads());
            assertEquals(3 * 19, executor.pooled.get());
            Plan before = runtime.plan();
            assertThrows(WorkloadException.class, () -> runtime.setPlan(plan(many, 40, Budget.none())));
            assertSame(before, runtime.plan());
            assertArrayEquals(TestStores.expected(X, 0, 0), runtime.infer("chain", X), EXACT);
        }
        executor.shared = true;
        try (LegoRuntime runtime = open(many.withTable(many.table().withThreads(40)))) {
            assertEquals(40, runtime.plan().get("chain").threads());
        }
        assertEquals(0, executor.pooled.get());
    }

    private static Plan plan(LegoModel model, int threads, Budget budget) {
        return new Scheduler(Collections.singletonList(model.table().withThreads(threads)), SwitchCharge.NONE)
                .plan(budget);
    }

    @Test
    public void whatStaysLoadedForTheWayBackHasNoMoreThreadsInPoolsThanOneComposition() {
        LegoModel model = threaded(20, 21);
        Budget fastest = Budget.none().withLatencyMs(4).withQuantile(0.5); // 2000 + 2000 + 4000 bytes
        try (LegoRuntime runtime = open(fastest, model.withTable(model.table().withThreads(20)))) {
            runtime.setPlan(plan(model, 21, fastest));
            assertEquals("those for the way back, and those that run", 3 * 19 + 3 * 20, executor.pooled.get());
            runtime.setPlan(plan(model, 1, Budget.none()));
            assertEquals("12000 bytes have room for another head with 19", 3 * 20, executor.pooled.get());
            assertEquals(8000, runtime.keptBytes());
        }
        assertEquals(0, executor.pooled.get());
    }

    @Test
    public void aFailedLoadLeavesTheOldPlan() {
        try (LegoRuntime runtime = open(model(chain), model(graph))) {
            Plan before = runtime.plan();
            executor.broken = "up/s2";
            assertThrows(StoreException.class, () -> runtime.setBudget(memory(20000)));
            assertSame(before, runtime.plan());
            assertArrayEquals(TestStores.expected(X, 0, 0), runtime.infer("chain", X), EXACT);
            assertNotNull(runtime.infer("graph", X));
            assertEquals("nothing of the failed switch stays loaded", 7, executor.open.get());
            executor.broken = null;
            runtime.setBudget(memory(20000));
            assertTrue(runtime.plan().memoryBytes() <= 20000);
        }
        assertEquals(0, executor.open.get());
    }

    @Test
    public void aFileThatWasDamagedMeanwhileIsNotLoaded() throws IOException {
        try (LegoRuntime runtime = open(model(chain))) {
            File file = new File(chain.folder(), "block1/s1.tflite");
            Files.write(file.toPath(), AffineExecutor.file(7, 7));
            assertTrue(file.setLastModified(1_000_000_000_000L));
            assertThrows(StoreException.class, () -> runtime.setBudget(memory(11000)));
            assertArrayEquals(TestStores.expected(X, 0, 0), runtime.infer("chain", X), EXACT);
        }
    }

    @Test
    public void whereNewAndOldDoNotFitTogetherTheOldGoesFirst() {
        List<Choice> one = Collections.singletonList(new Choice("b", "s0", 1));
        Change grows = new Change("a", one, one, 10, 40, true);
        Change shrinks = new Change("b", one, one, -30, 20, true);
        List<Change> ordered = Change.inOrder(Arrays.asList(grows, shrinks), 100, 115L);
        assertEquals("b", ordered.get(0).model);
        assertFalse("100 + 20 is more than 115", ordered.get(0).beside);
        assertTrue("70 + 40 is not", ordered.get(1).beside);
        assertTrue(Change.inOrder(Arrays.asList(grows, shrinks), 100, null).get(0).beside);

        LegoModel only = model(chain);
        try (LegoRuntime runtime = open(memory(12000), only)) {
            executor.loads.clear();
            runtime.setBudget(memory(10500)); // 12000 held, 2 blocks of 3000 and less to load
            assertArrayEquals(TestStores.expected(X, 2, 0), runtime.infer("chain", X), EXACT);
            executor.broken = "block1/s0";
            assertThrows(StoreException.class, () -> runtime.setBudget(memory(12000)));
            assertArrayEquals("what had been let go is loaded again", TestStores.expected(X, 2, 0),
                    runtime.infer("chain", X), EXACT);
            assertEquals(3, executor.open.get());
        }
    }

    @Test
    public void aModelThatCannotEvenBeLoadedAgainSaysSoAndStartsWhenItCan() {
        try (LegoRuntime runtime = open(memory(12000), model(chain))) {
            executor.broken = "block1";
            StoreException error = assertThrows(StoreException.class, () -> runtime.setBudget(memory(10500)));
            assertEquals("both failures are told", 1, error.getSuppressed().length);
            SuspendedException stands = assertThrows(SuspendedException.class, () -> runtime.infer("chain", X));
            assertTrue(stands.getMessage(),
                    stands.getMessage().startsWith("'chain' cannot be loaded any more: block1"));
            executor.broken = null;
            runtime.setBudget(memory(12000));
            assertArrayEquals(TestStores.expected(X, 0, 0), runtime.infer("chain", X), EXACT);
        }
    }

    @Test
    public void anInferenceEndsOnThePlanThatItStartedWith() throws Exception {
        try (LegoRuntime runtime = open(model(chain))) {
            executor.slowNs = TimeUnit.MILLISECONDS.toNanos(60);
            CountDownLatch begun = new CountDownLatch(1);
            executor.begun = begun::countDown;
            AtomicReference<float[]> found = new AtomicReference<>();
            Thread thread = new Thread(() -> found.set(runtime.infer("chain", X)));
            thread.start();
            begun.await();
            runtime.setBudget(memory(8000));
            assertArrayEquals(TestStores.expected(X, 2, 2), runtime.infer("chain", X), EXACT);
            thread.join();
            assertArrayEquals(TestStores.expected(X, 0, 0), found.get(), EXACT);
        }
    }

    @Test
    public void manyThreadsInferWhilePlansChange() throws Exception {
        LegoRuntime runtime = open(model(chain), model(graph));
        Set<String> possible = ConcurrentHashMap.newKeySet();
        for (int a = 0; a < 3; a++) {
            for (int b = 0; b < 3; b++) {
                possible.add(Arrays.toString(TestStores.expected(X, a, b)));
            }
        }
        AtomicReference<Throwable> failure = new AtomicReference<>();
        AtomicInteger inferences = new AtomicInteger();
        Set<String> seen = ConcurrentHashMap.newKeySet();
        List<Thread> threads = new ArrayList<>();
        CountDownLatch ended = new CountDownLatch(1);
        for (int t = 0; t < 4; t++) {
            String name = t % 2 == 0 ? "chain" : "graph";
            Thread thread = new Thread(() -> {
                try {
                    while (ended.getCount() > 0) {
                        float[] found = runtime.infer(name, X);
                        inferences.incrementAndGet();
                        if (name.equals("chain") && !possible.contains(Arrays.toString(found))) {
                            throw new AssertionError("a mixture of plans: " + Arrays.toString(found));
                        }
                        seen.add(name + Arrays.toString(found));
                    }
                } catch (Throwable e) {
                    failure.compareAndSet(null, e);
                }
            });
            threads.add(thread);
            thread.start();
        }
        int failed = 0;
        Random random = new Random(0);
        // As long as it takes the other threads to see enough of it, on however many processors.
        boolean enough = false;
        for (int i = 0; failure.get() == null && (i < 400 || !enough && i < 400_000); i++) {
            enough = inferences.get() > 400 && seen.size() > 6;
            String other = "s" + random.nextInt(3); // what runs can always be loaded again
            boolean runs = runtime.plan().get("chain").options.get("block1").equals(other);
            executor.broken = i % 3 == 0 && !runs ? "block1/" + other : null;
            try {
                runtime.setBudget(memory(20000 + random.nextInt(8000)));
            } catch (StoreException e) {
                failed++;
            }
        }
        ended.countDown();
        for (Thread thread : threads) {
            thread.join();
        }
        runtime.close();
        if (failure.get() != null) {
            throw new AssertionError(failure.get());
        }
        assertEquals(0, executor.open.get());
        assertTrue("switches failed under way: " + failed, failed > 10);
        assertTrue("plans changed under way: " + seen.size(), seen.size() > 6);
        assertTrue("inferences went on: " + inferences, inferences.get() > 400);
    }
}
