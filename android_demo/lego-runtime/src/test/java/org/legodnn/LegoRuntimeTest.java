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
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;

import org.junit.Before;
import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;

/** What runs all day: chains of pieces that share buffers, and switches that replace only what changes. */
public class LegoRuntimeTest {
    private static final float[] X = {1, 2, 3, 4, 5, 6};
    private static final float EXACT = 0;

    @Rule public final TemporaryFolder temporary = new TemporaryFolder();

    private final AffineExecutor executor = new AffineExecutor();
    private Store chain;
    private Store graph;

    @Before
    public void makeStores() throws IOException {
        chain = TestStores.chain(temporary.newFolder("chain"), "chain");
        graph = TestStores.graph(temporary.newFolder("graph"), "graph");
    }

    private LegoModel model(Store store) {
        return LegoModel.of(store, TestStores.profile(store, executor));
    }

    private LegoRuntime open(LegoModel... models) {
        return new LegoRuntime(executor, Arrays.asList(models), SwitchCharge.NONE, Budget.none());
    }

    private static Budget memory(long bytes) {
        return Budget.none().withMemoryBytes(bytes);
    }

    @Test
    public void aChainGivesWhatItsOptionsGive() {
        try (LegoRuntime runtime = open(model(chain))) {
            assertArrayEquals(TestStores.expected(X, 0, 0), runtime.infer("chain", X), EXACT);
            runtime.setBudget(memory(9000)); // the second block's options cost more accuracy
            assertArrayEquals(TestStores.expected(X, 2, 1), runtime.infer("chain", X), EXACT);
            assertEquals("s2", runtime.plan().get("chain").options.get("block1"));
        }
    }

    @Test
    public void aGraphGivesWhatItsOptionsGive() {
        try (LegoRuntime runtime = open(model(graph))) {
            // a = x + 1; b = a + 2; c = b + a + 3; y = c + x + 4
            float[] a = {2, 3, 4, 5};
            float[] b = {4, 5};
            float[] c = new float[4];
            for (int i = 0; i < 4; i++) {
                c[i] = b[i % 2] + a[i] + 3;
            }
            assertArrayEquals(new float[] {c[0] + 1 + 4, c[1] + 2 + 4}, runtime.infer("graph", X), EXACT);
        }
    }

    @Test
    public void aSegmentWritesIntoTheBufferThatTheNextOneReads() {
        executor.noting = true;
        try (LegoRuntime runtime = open(model(chain))) {
            runtime.infer("chain", X);
            runtime.setBudget(memory(9000));
            runtime.infer("chain", X);
        }
        assertEquals(6, executor.runs.size());
        Set<Integer> buffers = new HashSet<>();
        for (int i = 0; i < 6; i++) {
            Object[] run = executor.runs.get(i);
            ByteBuffer out = ((ByteBuffer[]) run[2])[0];
            buffers.add(System.identityHashCode(out));
            if (i % 3 < 2) {
                assertSame("nothing is copied between segments", out, ((ByteBuffer[]) executor.runs.get(i + 1)[1])[0]);
            }
        }
        assertEquals("compositions share their buffers", 3, buffers.size());
    }

    @Test
    public void tensorsThatAreNeverNeededTogetherShareAPlace() {
        Map<String, int[]> lives = Buffers.lifetimes(chain.manifest());
        assertArrayEquals(new int[] {-1, 0}, lives.get("x"));
        assertArrayEquals(new int[] {0, 1}, lives.get("t1"));
        assertArrayEquals(new int[] {2, 3}, lives.get("y"));
        assertArrayEquals("read by the last segment", new int[] {-1, 3}, Buffers.lifetimes(graph.manifest()).get("x"));
        Random random = new Random(1);
        for (int round = 0; round < 300; round++) {
            Map<String, int[]> some = new HashMap<>();
            Map<String, Integer> sizes = new HashMap<>();
            for (int t = 0; t < 8; t++) {
                int first = random.nextInt(6) - 1;
                some.put("t" + t, new int[] {first, first + random.nextInt(3)});
                sizes.put("t" + t, 4 * (1 + random.nextInt(100)));
            }
            Map<String, Integer> places = Buffers.layout(some, sizes);
            for (String a : places.keySet()) {
                assertEquals(0, places.get(a) % 64);
                for (String b : places.keySet()) {
                    boolean together = some.get(a)[0] <= some.get(b)[1] && some.get(b)[0] <= some.get(a)[1];
                    boolean overlap = places.get(a) < places.get(b) + sizes.get(b)
                            && places.get(b) < places.get(a) + sizes.get(a);
                    assertFalse(a + " and " + b, !a.equals(b) && together && overlap);
                }
            }
        }
        Map<String, Integer> sizes = new HashMap<>();
        for (TensorSpec spec : chain.manifest().specs.values()) {
            sizes.put(spec.name, spec.bytes());
        }
        Map<String, Integer> places = Buffers.layout(lives, sizes);
        assertEquals("x is dead when t2 is written", places.get("x"), places.get("t2"));
    }

    @Test
    public void onlyWhatChangesIsLoaded() {
        try (LegoRuntime runtime = open(model(chain), model(graph))) {
            assertEquals(7, executor.loads.size());
            executor.loads.clear();
            Switch done = runtime.setBudget(memory(27000)); // 28000 without a limit
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
    public void aRuntimeThatCannotBeOpenedLeavesNothingLoaded() {
        executor.broken = "head";
        assertThrows(StoreException.class, () -> open(model(chain), model(graph)));
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
    public void anInfeasibleBudgetLeavesTheOldPlan() {
        try (LegoRuntime runtime = open(model(chain))) {
            Plan before = runtime.plan();
            InfeasibleException error =
                    assertThrows(InfeasibleException.class, () -> runtime.setBudget(memory(100)));
            assertEquals(8000, error.report().clash().get(0).needed, 0);
            assertTrue(error.getMessage(), error.getMessage().startsWith("no plan holds memory at most 100 B\n"));
            assertSame(before, runtime.plan());
        }
    }

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
            runtime.setBudget(Budget.none().withLatencyMs(10).withQuantile(0.5)); // takes one block at least as it is pruned most
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

    @Test
    public void aSuspendedModelSaysSoAndComesBack() {
        LegoModel optional = model(graph);
        optional = optional.withTable(optional.table.withCritical(false));
        try (LegoRuntime runtime = open(model(chain), optional)) {
            runtime.setBudget(memory(12000));
            assertEquals(Collections.singletonList("graph"), runtime.plan().suspended());
            SuspendedException error = assertThrows(SuspendedException.class, () -> runtime.infer("graph", X));
            assertTrue(error.getMessage(), error.getMessage().contains("'graph' is suspended"));
            assertEquals(3, executor.open.get());
            Switch done = runtime.setBudget(Budget.none());
            assertEquals(4, done.loaded.size());
            assertNotNull(runtime.infer("graph", X));
        }
    }

    @Test
    public void aPlanMadeElsewhereRuns() {
        try (LegoRuntime runtime = open(model(chain))) {
            Plan small = runtime.scheduler().plan(memory(8000));
            runtime.setPlan(Plan.parse(small.toJson()));
            assertArrayEquals(TestStores.expected(X, 2, 2), runtime.infer("chain", X), EXACT);
            assertEquals(memory(8000), runtime.budget());
            assertThrows(WorkloadException.class, () -> runtime.setPlan(Plan.parse(
                    small.toJson().replace("\"block1\"", "\"other\""))));
            assertThrows(WorkloadException.class, () -> runtime.setPlan(Plan.parse(
                    small.toJson().replace("\"name\": \"chain\"", "\"name\": \"other\""))));
            assertThrows(StoreException.class, () -> runtime.setPlan(Plan.parse(
                    small.toJson().replace("\"block1\": \"s2\"", "\"block1\": \"s9\""))));
            assertArrayEquals(TestStores.expected(X, 2, 2), runtime.infer("chain", X), EXACT);
        }
    }

    @Test
    public void inputsThatAModelCannotTakeAreRefused() {
        LegoRuntime runtime = open(model(chain));
        assertThrows(InputException.class, () -> runtime.infer("nobody", X));
        assertThrows(InputException.class, () -> runtime.infer("chain", new float[5]));
        for (float bad : new float[] {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY}) {
            assertThrows(InputException.class, () -> runtime.infer("chain", new float[] {1, 2, bad, 4, 5, 6}));
        }
        float most = Float.MAX_VALUE; // great numbers are numbers
        runtime.infer("chain", new float[] {most, most, most, most, most, most});
        assertThrows(InputException.class,
                () -> runtime.infer("chain", Collections.singletonMap("z", ByteBuffer.allocate(24))));
        assertThrows(InputException.class,
                () -> runtime.infer("chain", Collections.singletonMap("x", ByteBuffer.allocate(20))));
        runtime.close();
        assertThrows(InputException.class, () -> runtime.infer("chain", X));
        assertThrows(InputException.class, runtime::plan);
        assertThrows(InputException.class, () -> runtime.setBudget(Budget.none()));
        runtime.close();
    }

    @Test
    public void buffersOfAnyKindAreTakenAndLeftAsTheyAre() {
        try (LegoRuntime runtime = open(model(chain))) {
            for (ByteBuffer buffer : Arrays.asList(ByteBuffer.allocate(32), ByteBuffer.allocateDirect(32),
                    ByteBuffer.allocate(32).order(ByteOrder.LITTLE_ENDIAN))) {
                buffer.position(4);
                for (float x : X) {
                    buffer.putFloat(x);
                }
                buffer.limit(28);
                buffer.position(4);
                Inference done = runtime.run("chain", Collections.singletonMap("x", buffer));
                ByteBuffer y = done.outputs.get("y");
                float[] wanted = TestStores.expected(X, 0, 0);
                assertEquals(wanted[0], y.getFloat(0), EXACT);
                assertEquals(wanted[1], y.getFloat(4), EXACT);
                assertEquals(24, buffer.remaining());
                assertEquals("s0", done.plan.options.get("block1"));
                assertTrue(done.latencyMs > 0);
            }
        }
    }

    @Test
    public void aProfileOfAnotherDeviceIsRefusedUnlessAsked() {
        Profile here = TestStores.profile(chain, executor);
        Profile elsewhere = Profile.parse(here.toJson().replace("affine 1", "affine 0"));
        assertThrows(ProfileException.class, () -> open(LegoModel.of(chain, elsewhere)));
        try (LegoRuntime runtime = open(LegoModel.of(chain, elsewhere).onAnyDevice())) {
            assertNotNull(runtime.infer("chain", X));
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
        try (LegoRuntime runtime = new LegoRuntime(
                executor, Collections.singletonList(only), SwitchCharge.NONE, memory(12000))) {
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
        try (LegoRuntime runtime = new LegoRuntime(
                executor, Collections.singletonList(model(chain)), SwitchCharge.NONE, memory(12000))) {
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
            CountDownLatch started = new CountDownLatch(1);
            AtomicReference<float[]> found = new AtomicReference<>();
            Thread thread = new Thread(() -> {
                started.countDown();
                found.set(runtime.infer("chain", X));
            });
            thread.start();
            started.await();
            Thread.sleep(30);
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
        for (int i = 0; i < 400 && failure.get() == null; i++) {
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
