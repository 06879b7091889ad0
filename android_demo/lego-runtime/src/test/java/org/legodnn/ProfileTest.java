package org.legodnn;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.io.File;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;

import org.junit.Before;
import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;
import org.legodnn.internal.json.Json;
import org.legodnn.internal.json.JsonObject;

/** Profiles: what may be in them besides, what is made of it, and measuring. */
public class ProfileTest {
    /** What a pause costs is not what is tested here. */
    private static final ProfilerOptions UNPAUSED = ProfilerOptions.DEFAULTS.withPause(() -> { });

    @Rule public final TemporaryFolder temporary = new TemporaryFolder();

    private final AffineExecutor executor = new AffineExecutor();
    private Store store;
    private Profile profile;

    @Before
    public void makeStore() throws IOException {
        store = TestStores.chain(temporary.newFolder("chain"), "chain");
        profile = TestStores.profile(store, executor);
    }

    /** The profile with a field more. */
    private Profile with(String field, String json) {
        JsonObject document = (JsonObject) Json.parse(profile.toJson());
        return Profile.parse(document.put(field, Json.parse(json)).toString());
    }

    @Test
    public void whatChainsTakeMoreIsAddedToLatency() {
        Profile more = with("chain", "[{\"threads\": 1, \"overhead_ms\": 0.5}, {\"threads\": 2, \"overhead_ms\": 9}]");
        Scheduler scheduler = new Scheduler(
                Collections.singletonList(ModelTable.fromStore(store, more)), SwitchCharge.NONE);
        assertEquals(12.5, scheduler.plan(Budget.none()).get("chain").latencyMs, 1e-9);
        Budget tighter = Budget.none().withLatencyMs(11.5).withQuantile(0.5);
        assertEquals(11.5, scheduler.plan(tighter).get("chain").latencyMs, 1e-9);
        assertThrows(ProfileException.class,
                () -> with("chain", "[{\"threads\": 1, \"overhead_ms\": 1}, {\"threads\": 1, \"overhead_ms\": 2}]"));
    }

    @Test
    public void limitsAreForTheShareOfInferencesThatTheProfileKnows() {
        String tail = "{\"threads\": 1, \"condition\": \"%s\", \"inferences\": 200, \"quantiles\": [0.5, 0.95],"
                + " \"stretch\": [1.0, %s]}";
        String alone = String.format(tail, "alone", "1.25");
        Profile more = with("tail", "[" + alone + ", " + String.format(tail, "after", "1.5") + "]");
        assertEquals(more.toJson(), Profile.parse(more.toJson()).toJson());
        Scheduler scheduler = new Scheduler(
                Collections.singletonList(ModelTable.fromStore(store, more)), SwitchCharge.NONE);
        ModelPlan plan = scheduler.plan(Budget.none().withLatencyMs(16.5)).get("chain");
        assertEquals(11, plan.latencyMs, 1e-9);
        assertEquals(Double.valueOf(16.5), plan.quantileMs, 1e-9);
        assertTrue(plan.toString().contains("11 ms (p95 16.5 ms)"));
        Budget strict = Budget.none().withLatencyMs(16.5).withQuantile(0.99);
        assertThrows(ProfileException.class, () -> scheduler.plan(strict));
        Scheduler old = new Scheduler(
                Collections.singletonList(ModelTable.fromStore(store, profile)), SwitchCharge.NONE);
        assertThrows(ProfileException.class, () -> old.plan(Budget.none().withLatencyMs(16.5)));
        assertThrows(ProfileException.class, () -> with("tail", "[" + alone + ", " + alone + "]"));
        assertThrows(ProfileException.class, () -> with("tail", "[" + alone.replace("1.25", "0.5") + "]"));
        assertThrows(WorkloadException.class, () -> Budget.none().withQuantile(0.4));
        assertThrows(WorkloadException.class, () -> Budget.none().withQuantile("a", 1));
    }

    @Test
    public void whatWasSkippedCannotBeChosen() {
        JsonObject document = (JsonObject) Json.parse(profile.toJson());
        List<Object> options = new ArrayList<>(Vectors.<Object>list(document, "options"));
        options.remove(1); // block1=s1
        document.put("options", options);
        Profile lacking = Profile.parse(document.toString());
        assertThrows(ProfileException.class, () -> lacking.checkStore(store));
        String skipped = "[{\"segment\": \"block1\", \"option\": \"s1\", \"reason\": \"an operator is missing\"}]";
        Profile found = Profile.parse(document.put("skipped", Json.parse(skipped)).toString());
        found.checkStore(store);
        assertTrue(found.skips("block1", "s1"));
        ModelTable table = ModelTable.fromStore(store, found);
        assertEquals(2, table.blocks.get(0).options.size());
        Plan plan = new Scheduler(Collections.singletonList(table), SwitchCharge.NONE).plan(Budget.none());
        assertEquals("s0", plan.get("chain").options.get("block1"));
        Profile twice = with("skipped", skipped);
        assertThrows("measured and skipped", ProfileException.class, () -> twice.checkStore(store));
    }

    @Test
    public void whatElseAProfileSaysIsKept() {
        String text = profile.toJson().replaceFirst("\"load_ms\": 1.0",
                "\"load_ms\": 1.0, \"energy_mj\": null").replaceFirst("\"p95_ms\": 5.0",
                "\"p95_ms\": 5.0, \"first_ms\": 7.5");
        JsonObject document = (JsonObject) Json.parse(text);
        document.put("validation", Json.parse("[{\"a\": 1}]")).put("contention", Json.parse("[]"))
                .put("energy", Json.parse("{\"meter\": \"x\"}")).put("conditions", null).put("pack_ms", 3.5)
                .put("streamed", Json.parse("{\"floor_bytes\": 1}"))
                .put("compact", Json.parse("{\"company_bytes\": 1}"));
        Profile found = Profile.parse(document.toString());
        assertEquals(null, found.options.get(0).energyMj);
        assertEquals(Double.valueOf(7.5), found.options.get(0).latency.get(0).firstMs);
        Profile again = Profile.parse(found.toJson());
        assertEquals(found.toJson(), again.toJson());
        assertTrue(again.toJson().contains("\"validation\"") && again.toJson().contains("\"meter\""));
        assertTrue(again.toJson().contains("\"pack_ms\": 3.5"));
        assertTrue(again.toJson().contains("\"floor_bytes\": 1"));
        assertThrows(ProfileException.class, () -> with("streamed", "[]"));
        assertThrows(ProfileException.class, () -> with("compact", "[]"));
        assertThrows(ProfileException.class, () -> with("energy", "[]"));
        assertThrows(ProfileException.class, () -> with("contention", "{}"));
        assertThrows(ProfileException.class, () -> with("more", "1"));
    }

    @Test
    public void aProfileIsSavedWholeAndReadBack() throws IOException {
        File file = new File(temporary.getRoot(), "deep/chain.profile.json");
        profile.save(file);
        assertEquals(profile.toJson(), Profile.load(file).toJson());
        profile.save(file);
        assertEquals("nothing else is left", 1, file.getParentFile().list().length);
        File blocked = new File(file, "profile.json");
        assertThrows(ProfileException.class, () -> profile.save(blocked));
        assertThrows(ProfileException.class, () -> Profile.load(blocked));
    }

    @Test
    public void measuringGivesEveryOptionItsOwnFigures() {
        AffineExecutor measured = new AffineExecutor();
        // Memory as if every open piece took 1000 bytes, in a process that grows by 70 bytes from reading to reading.
        AtomicInteger readings = new AtomicInteger();
        MemoryMeter meter = () -> 50_000 + 1000 * measured.open.get() + 70 * readings.incrementAndGet();
        List<Integer> steps = new ArrayList<>();
        ProfilerOptions options = UNPAUSED.withThreads(1, 2).withRounds(7).withWeighings(2)
                .withMemory(meter);
        Profile found = Profiler.profile(store, measured, options, (what, done, total) -> {
            assertFalse(what.isEmpty());
            steps.add(done);
            assertTrue(done <= total);
            if (done == total) {
                steps.add(-1);
            }
            return true;
        });
        found.checkStore(store);
        found.checkDevice(Device.fingerprint(measured));
        assertEquals("the last step is the whole", Integer.valueOf(-1), steps.get(steps.size() - 1));
        assertEquals("all is let go", 0, measured.open.get());
        long sum = 0;
        for (OptionProfile option : found.options) {
            assertEquals(2, option.latency.size());
            for (Latency latency : option.latency) {
                assertTrue(latency.runs >= 7);
                assertTrue(latency.minMs > 0 && latency.minMs <= latency.medianMs && latency.medianMs <= latency.p95Ms);
            }
            sum += option.option.equals("s0") ? option.memoryBytes : 0;
            assertEquals("what the process grows by is no option's", 1000, option.memoryBytes, 30);
        }
        List<Object> tails = new ArrayList<>();
        for (Tail tail : found.tails) {
            tails.add(tail.threads + " " + tail.condition + " " + tail.inferences + " " + tail.stretch.lastKey());
            assertTrue(tail.toJson().toString(), tail.stretch.get(0.5) > 0);
        }
        assertEquals("20 compositions, 6 turns", Arrays.<Object>asList(
                "1 alone 480 0.995", "1 after 120 0.99", "1 periodic 160 0.99",
                "2 alone 480 0.995", "2 after 120 0.99", "2 periodic 160 0.99"), tails);
        assertEquals("originals add up to the whole", 3000, sum, 2);
        assertEquals(found.toJson(), Profile.parse(found.toJson()).toJson());
    }

    @Test
    public void wholeCompositionsAreTimedToo() {
        Profile found = Profiler.profile(store, executor, UNPAUSED.withThreads(1, 2).withRounds(5)
                .withWeighings(1).withMemory(() -> 1000), null);
        ModelTable table = ModelTable.fromStore(store, found);
        List<JsonObject> validation = Vectors.list((JsonObject) Json.parse(found.toJson()), "validation");
        assertEquals(2, validation.size());
        for (JsonObject one : validation) {
            int threads = Integer.parseInt(one.get("threads").toString());
            double overhead = found.chainOverheadMs().get(threads);
            assertTrue("overhead " + overhead, overhead >= 0);
            assertEquals("plans count it", overhead, table.overheadMs(threads), 0);
            assertEquals("20", one.get("plans").toString());
            double median = Double.parseDouble(one.get("median_error").toString());
            assertTrue(median >= 0 && median <= Double.parseDouble(one.get("p95_error").toString()));
        }
    }

    @Test
    public void optionsWithPoolsOfThreadsAreTimedInGroups() {
        for (int threads : new int[] {1, 8, 20}) {
            AffineExecutor measured = new AffineExecutor();
            AtomicInteger most = new AtomicInteger();
            AtomicInteger last = new AtomicInteger();
            Profile found = Profiler.profile(store, measured, UNPAUSED.withThreads(threads)
                    .withRounds(7).withWeighings(1), (what, done, total) -> {
                        if (what.startsWith("timing")) {
                            most.accumulateAndGet(measured.open.get(), Math::max);
                        }
                        last.set(total - done);
                        return true;
                    });
            assertEquals("progress ends at its end", 0, last.get());
            assertEquals("loaded at a time", threads == 20 ? 3 : 7, most.get());
            for (OptionProfile option : found.options) {
                assertTrue(option.latency.get(0).runs >= 7);
            }
        }
    }

    @Test
    public void noCompositionIsTimedThatWouldHaveTooManyThreadsInPools() {
        ProfilerOptions options = UNPAUSED.withThreads(1, 23).withRounds(1).withWeighings(1);
        ProfileException refused = assertThrows(ProfileException.class,
                () -> Profiler.profile(store, executor, options, null));
        assertTrue(refused.getMessage(), refused.getMessage().contains("at most 22 may be asked for")); // 3 x 21 = 63
        assertEquals("nothing was loaded for it", 0, executor.loads.size());
        executor.shared = true;
        Profiler.profile(store, executor, options, null).checkStore(store);
    }

    @Test
    public void profilingThatWasStoppedGoesOn() throws Exception {
        File state = new File(temporary.getRoot(), "state/chain.json");
        ProfilerOptions options = UNPAUSED.withThreads(1, 2).withRounds(7).withWeighings(2)
                .withMemory(() -> 1000).withStateFile(state);
        ProfileException stopped = assertThrows(ProfileException.class, () -> Profiler.profile(
                store, executor, options, (what, done, total) -> !what.equals("timing with 2 threads")));
        assertTrue(stopped.getMessage(), stopped.getMessage().startsWith("profiling was stopped"));
        assertTrue(state.exists());
        List<String> stages = new ArrayList<>();
        AtomicInteger left = new AtomicInteger();
        Profile found = Profiler.profile(store, executor, options, (what, done, total) -> {
            stages.add(what);
            left.set(total - done);
            return true;
        });
        assertEquals(new HashSet<>(Arrays.asList("timing with 2 threads", "validating")), new HashSet<>(stages));
        assertEquals(new HashSet<>(Arrays.asList(1, 2)), found.chainOverheadMs().keySet());
        assertEquals(0, left.get());
        found.checkStore(store);
        assertEquals(6, found.tails.size());
        assertFalse("all was measured", state.exists());

        assertThrows(ProfileException.class, () -> Profiler.profile(
                store, executor, options, (what, done, total) -> !what.equals("timing with 2 threads")));
        for (ProfilerOptions other : new ProfilerOptions[] {options.withRounds(8), options}) {
            stages.clear();
            if (other == options) {
                Vectors.write(state, "{\"schema\": \"legodnn.profiling/2\"".getBytes("UTF-8"));
            }
            Profiler.profile(store, executor, other, (what, done, total) -> stages.add(what));
            assertTrue("of other options, or damaged: measured anew", stages.contains("weighing"));
        }
        assertEquals(0, executor.open.get());
    }

    @Test
    public void aDeviceThatIsHeldBackIsNotMeasured() {
        List<String> told = new ArrayList<>(Arrays.asList("power saving is on"));
        ProfilerOptions options = UNPAUSED.withRounds(2).withWeighings(1)
                .withConditions(() -> told.isEmpty() ? "" : told.remove(0));
        ProfileException refused = assertThrows(ProfileException.class,
                () -> Profiler.profile(store, executor, options, null));
        assertTrue(refused.getMessage(),
                refused.getMessage().contains("cannot be measured as it is (power saving is on)"));
        told.addAll(Arrays.asList("", "", "heat: thermal status severe")); // weighing, timing, the end
        JsonObject document = (JsonObject) Json.parse(Profiler.profile(store, executor, options, null).toJson());
        JsonObject conditions = Vectors.object(document, "conditions");
        assertEquals(Arrays.asList("", "heat: thermal status severe"), conditions.get("throttled"));
        assertEquals(1, Vectors.list(conditions, "warnings").size());
        assertTrue(Vectors.string(conditions, "kernel").length() > 0);
    }

    @Test
    public void whatSlowedAProfilingDownIsToldOnceThoughItIsOver() {
        AtomicInteger asked = new AtomicInteger();
        DeviceConditions conditions = new DeviceConditions() {
            @Override
            public String heldBack() {
                return "";
            }

            @Override
            public String slowed() {
                int times = asked.incrementAndGet();
                return times == 10 || times == 11 ? "behind a curtain" : "";
            }
        };
        Profile found = Profiler.profile(store, executor, UNPAUSED.withRounds(2).withWeighings(1)
                .withConditions(conditions), null);
        JsonObject document = (JsonObject) Json.parse(found.toJson());
        assertEquals(Arrays.asList("figures may be too high: behind a curtain"),
                Vectors.object(document, "conditions").get("warnings"));
        assertTrue("at every step, " + asked.get(), asked.get() > 40);
    }

    @Test
    public void whatDisturbedAProfilingThatGoesOnIsToldToo() {
        String[] disturbed = {"", "behind a curtain"}; // held back, slowed
        DeviceConditions conditions = new DeviceConditions() {
            @Override
            public String heldBack() {
                return disturbed[0];
            }

            @Override
            public String slowed() {
                return disturbed[1];
            }
        };
        ProfilerOptions options = UNPAUSED.withThreads(1, 2).withRounds(2).withWeighings(1)
                .withConditions(conditions).withStateFile(new File(temporary.getRoot(), "chain.json"));
        assertThrows(ProfileException.class, () -> Profiler.profile(store, executor, options, (what, done, total) -> {
            disturbed[0] = what.equals("validating") ? "heat" : ""; // at the end of the first thread count
            return true;
        }));
        disturbed[0] = "";
        disturbed[1] = "";
        JsonObject document = (JsonObject) Json.parse(Profiler.profile(store, executor, options, null).toJson());
        assertEquals(Arrays.asList("figures may be too high: behind a curtain",
                "the processors were held back while measuring: heat"),
                Vectors.object(document, "conditions").get("warnings"));
    }

    @Test
    public void profilingCanBeStoppedAndRefusesNonsense() {
        assertThrows(ProfileException.class,
                () -> Profiler.profile(store, executor, UNPAUSED, (what, done, total) -> done < 5));
        assertEquals(0, executor.open.get());
        for (ProfilerOptions bad : new ProfilerOptions[] {
            UNPAUSED.withThreads(), UNPAUSED.withThreads(0),
            UNPAUSED.withThreads(1, 1), UNPAUSED.withRounds(0),
            UNPAUSED.withWeighings(0)
        }) {
            assertThrows(ProfileException.class, () -> Profiler.profile(store, executor, bad, null));
        }
    }

    @Test
    public void quantilesLieBetweenNeighbours() {
        double[] values = {1, 2, 4, 8};
        assertEquals(3, Profiler.quantile(values, 0.5), 0);
        assertEquals(7.4, Profiler.quantile(values, 0.95), 1e-12);
        assertEquals(1, Profiler.quantile(values, 0), 0);
        assertEquals(8, Profiler.quantile(values, 1), 0);
    }

    @Test
    public void thisDeviceTellsItsMemoryAndItsName() {
        assertTrue(Device.MEMORY.processBytes() > 10_000_000);
        Fingerprint here = Device.fingerprint(executor);
        assertEquals(here, Device.fingerprint(executor));
        assertEquals("affine 1", here.executor);
        assertTrue(here.cores > 0);
    }
}
