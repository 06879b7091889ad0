package org.legodnn;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNotNull;
import static org.junit.Assert.assertSame;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;

import org.junit.Test;

/** What runs all day: chains of pieces that share buffers, budgets, plans, and what is refused. */
public class LegoRuntimeTest extends RuntimeTestBase {
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
    public void listenersAreToldOfTheRunningPlanAndOfEachLaterOne() {
        List<Plan> told = new ArrayList<>();
        PlanListener listener = told::add;
        try (LegoRuntime runtime = open(model(chain))) {
            Plan first = runtime.plan();
            runtime.addPlanListener(listener);
            assertEquals(Arrays.asList(first), told);
            runtime.setBudget(memory(9000));
            assertThrows(InfeasibleException.class, () -> runtime.setBudget(memory(1)));
            runtime.setPlan(first);
            assertEquals(Arrays.asList(first, told.get(1), first), told);
            assertEquals(9000, told.get(1).budget().memoryBytes().longValue());
            runtime.removePlanListener(listener);
            runtime.setBudget(memory(9000));
            assertEquals(3, told.size());
        }
        assertThrows(ClosedException.class, () -> closed().addPlanListener(listener));
    }

    @Test
    public void aListenerThatThrowsChangesNothingForOthersNorForThePlan() {
        List<Plan> told = new ArrayList<>();
        try (LegoRuntime runtime = open(model(chain))) {
            Plan first = runtime.plan();
            runtime.addPlanListener(plan -> {
                if (plan != first) {
                    throw new IllegalStateException("no view is there any more");
                }
            });
            runtime.addPlanListener(told::add);
            Map<String, Double> slower = Collections.singletonMap("chain", 3.0);
            Exception thrown = assertThrows(
                    IllegalStateException.class, () -> runtime.replan(memory(9000), slower));
            assertEquals("no view is there any more", thrown.getMessage());
            assertEquals(Arrays.asList(first, runtime.plan()), told);
            assertEquals(9000, runtime.plan().budget().memoryBytes().longValue());
            double slow = runtime.plan().get("chain").latencyMs;
            assertThrows(IllegalStateException.class, () -> runtime.setBudget(memory(9001)));
            assertEquals("the slow-down is kept", slow, runtime.plan().get("chain").latencyMs, 0.0);
        }
    }

    private LegoRuntime closed() {
        LegoRuntime runtime = open(model(chain));
        runtime.close();
        return runtime;
    }

    @Test
    public void whatRunsIsWeighedAloneAndRunsOn() {
        AtomicInteger readings = new AtomicInteger(); // the process grows from one to the next
        MemoryMeter meter = () -> 50_000 + 1000 * executor.open.get() + 70 * readings.incrementAndGet();
        try (LegoRuntime runtime = open(model(chain), model(graph))) {
            assertEquals(3000, runtime.weigh("chain", meter));
            assertEquals(4000, runtime.weigh("graph", meter));
            runtime.setBudget(memory(20_000));
            Plan plan = runtime.plan();
            int open = executor.open.get();
            assertEquals("besides what is kept", 3000, runtime.weigh("chain", meter));
            assertSame(plan, runtime.plan());
            assertEquals(open, executor.open.get());
            assertEquals(2, runtime.infer("chain", X).length);

            executor.broken = "block1";
            assertThrows(StoreException.class, () -> runtime.weigh("chain", meter));
            SuspendedException stands = assertThrows(SuspendedException.class, () -> runtime.infer("chain", X));
            assertTrue(stands.getMessage(), stands.getMessage().contains("cannot be loaded any more: block1"));
            executor.broken = null;
            runtime.setPlan(plan);
            assertEquals(2, runtime.infer("chain", X).length);
            assertThrows(InputException.class, () -> runtime.weigh("nobody", meter));
        }
        assertEquals(0, executor.open.get());
        assertThrows(ClosedException.class, () -> closed().weigh("chain", meter));
        LegoModel optional = model(graph).withTable(model(graph).table.withCritical(false));
        try (LegoRuntime runtime = open(memory(12_000), model(chain), optional)) {
            assertEquals("suspended", 0, runtime.weigh("graph", meter));
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
    public void aRuntimeThatCannotBeOpenedLeavesNothingLoaded() {
        executor.broken = "head";
        assertThrows(StoreException.class, () -> open(model(chain), model(graph)));
        assertEquals(0, executor.open.get());
    }

    @Test
    public void aPlanOfWhatWasNotProfiledIsRefused() {
        try (LegoRuntime runtime = open(model(chain))) {
            Plan before = runtime.plan();
            for (String[] edit : new String[][] {{"\"threads\":1", "\"threads\":3"}, {"\"s0\"", "\"none\""}}) {
                String json = before.toJson().replace(" ", "").replace(edit[0], edit[1]);
                assertThrows(edit[1], WorkloadException.class, () -> runtime.setPlan(Plan.parse(json)));
                assertSame(before, runtime.plan());
            }
            runtime.infer("chain", X);
        }
    }

    @Test
    public void anInferenceThatComesTooLateSaysSo() {
        LegoRuntime runtime = open(model(chain));
        RunningModel late = new RunningModel(model(chain), executor);
        late.close();
        assertThrows(ClosedException.class, () -> late.infer(new FloatBuffer[0], new FloatBuffer[0]));
        runtime.close();
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
    public void aSuspendedModelSaysSoAndComesBack() {
        LegoModel optional = model(graph);
        optional = optional.withTable(optional.table.withCritical(false));
        try (LegoRuntime runtime = open(model(chain), optional)) {
            runtime.setBudget(memory(12000));
            assertEquals(Collections.singletonList("graph"), runtime.plan().suspended());
            SuspendedException error = assertThrows(SuspendedException.class, () -> runtime.infer("graph", X));
            assertTrue(error.getMessage(), error.getMessage().contains("'graph' is suspended"));
            assertEquals(3, executor.open.get());
            PlanSwitch done = runtime.setBudget(Budget.none());
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
            assertThrows(WorkloadException.class, () -> runtime.setPlan(Plan.parse(
                    small.toJson().replace("\"block1\": \"s2\"", "\"block1\": \"s9\""))));
            try (LegoRuntime more = open(model(chain), model(graph))) {
                Exception unlike = assertThrows(WorkloadException.class, () -> runtime.setPlan(more.plan()));
                assertEquals("this plan is for chain, graph; this runtime has chain", unlike.getMessage());
                assertThrows("it lacks one", WorkloadException.class, () -> more.setPlan(small));
            }
            Exception refused = assertThrows(WorkloadException.class, () -> Plan.parse(
                    small.toJson().replace("\"threads\"", "\"streamed\": true, \"threads\"")));
            assertTrue(refused.getMessage(), refused.getMessage().contains("streams this model"));
            assertEquals(small.toJson(), Plan.parse(
                    small.toJson().replace("\"threads\"", "\"streamed\": false, \"threads\"")).toJson());
            refused = assertThrows(WorkloadException.class, () -> Plan.parse(
                    small.toJson().replace("\"threads\"", "\"compact\": true, \"threads\"")));
            assertTrue(refused.getMessage(), refused.getMessage().contains("has this model compact"));
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
        for (int bytes : new int[] {23, 25, 27}) { // six values and something
            assertThrows(InputException.class,
                    () -> runtime.infer("chain", Collections.singletonMap("x", ByteBuffer.allocate(bytes))));
        }
        assertThrows(InputException.class,
                () -> runtime.infer("chain", Collections.singletonMap("x", ByteBuffer.allocate(20))));
        runtime.close();
        assertThrows(ClosedException.class, () -> runtime.infer("chain", X));
        assertThrows(ClosedException.class, runtime::plan);
        assertThrows(ClosedException.class, () -> runtime.setBudget(Budget.none()));
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
    public void outputsAreWrittenWhereTheCallerWants() {
        float[] wanted = TestStores.expected(X, 0, 0);
        try (LegoRuntime runtime = open(model(chain))) {
            float[] y = new float[2];
            runtime.infer("chain", X, y);
            assertArrayEquals(wanted, y, EXACT);
            assertThrows(InputException.class, () -> runtime.infer("chain", X, new float[3]));
            ByteBuffer in = ByteBuffer.allocate(24);
            in.asFloatBuffer().put(X);
            for (ByteOrder order : Arrays.asList(ByteOrder.BIG_ENDIAN, ByteOrder.LITTLE_ENDIAN)) {
                ByteBuffer out = ByteBuffer.allocate(16).order(order);
                out.position(8);
                Inference done = runtime.run("chain", Collections.singletonMap("x", in),
                        Collections.singletonMap("y", out));
                assertSame(out, done.outputs.get("y"));
                assertEquals(8, out.remaining());
                assertEquals(wanted[0], out.getFloat(), EXACT);
                assertEquals(wanted[1], out.getFloat(), EXACT);
            }
            for (ByteBuffer wrong : Arrays.asList(ByteBuffer.allocate(4), ByteBuffer.allocate(12),
                    ByteBuffer.allocate(8).asReadOnlyBuffer())) {
                assertThrows(InputException.class, () -> runtime.run("chain", Collections.singletonMap("x", in),
                        Collections.singletonMap("y", wrong)));
            }
            assertThrows(InputException.class, () -> runtime.run("chain", Collections.singletonMap("x", in),
                    Collections.singletonMap("z", ByteBuffer.allocate(8))));
        }
    }

    @Test
    public void aBuilderNamesEachModelWithItsProfile() {
        try (LegoRuntime runtime = LegoRuntime.builder().executor(executor).budget(memory(20_000))
                .addModel(chain, TestStores.profile(chain, executor)).addModel(model(graph)).build()) {
            assertEquals(memory(20_000), runtime.budget());
            assertEquals("chain", runtime.plan().models().get(0).name());
            assertEquals("graph", runtime.plan().models().get(1).name());
        }
        assertThrows(WorkloadException.class, () -> LegoRuntime.builder().executor(executor).build());
        assertThrows(ProfileException.class,
                () -> LegoRuntime.builder().addModel(graph, TestStores.profile(chain, executor)));
    }

    @Test
    public void byDefaultASwitchMustBeWorthItsLoading() {
        // Options load in 1 ms, which is charged .00001; the first option of block1 is worth .0023.
        SwitchCharge charge = SwitchCharge.LOADING;
        assertEquals(1e-5, charge.of(model(chain).table.blocks.get(0).options.get(0)), 1e-15);
        try (LegoRuntime runtime = LegoRuntime.builder().executor(executor).addModel(model(chain)).build()) {
            runtime.setBudget(memory(11_000));
            assertEquals(1e-5, runtime.plan().switchCharge(), 1e-15);
        }
    }

    @Test
    public void aProfileOfAnotherDeviceIsRefusedUnlessAsked() {
        Profile here = TestStores.profile(chain, executor);
        Profile elsewhere = Profile.parse(here.toJson().replace("affine 1", "affine 0"));
        assertThrows(ProfileException.class, () -> open(LegoModel.of(chain, elsewhere)));
        try (LegoRuntime runtime = open(LegoModel.of(chain, elsewhere).onAnyDevice(), model(graph).onAnyDevice())) {
            assertNotNull(runtime.infer("chain", X));
            assertFalse(runtime.isProfiledHere("chain"));
            assertTrue("though any would do", runtime.isProfiledHere("graph"));
        }
    }
}
