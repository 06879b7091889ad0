package org.legodnn;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;

import java.io.File;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;

import org.junit.Before;
import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;
import org.legodnn.internal.json.Json;
import org.legodnn.internal.json.JsonObject;

/** Of what options take one by one, and of compositions in use, comes what options take in use, as in Python. */
public class InUseTest {
    @Rule public final TemporaryFolder temporary = new TemporaryFolder();
    private final AffineExecutor executor = new AffineExecutor();
    private final Map<Choice, Latency> alone = new HashMap<>();
    private Store store;

    @Before
    public void setUp() throws Exception {
        store = TestStores.chain(temporary.newFolder("chain"), "chain");
        for (Segment segment : store.manifest().segments) {
            for (Option option : segment.options) {
                double ms = option.name.equals("s0") ? 4 : option.name.equals("s1") ? 2 : 1;
                alone.put(new Choice(segment.name, option.name, 1), new Latency(1, 5, ms / 2, ms, 2 * ms, null));
            }
        }
    }

    /** What is found where a whole takes so much of the sum of its options, and so much more or less. */
    private Validator.Found found(double factor, double constantMs) {
        return new Validator(store, new Random(0), 1, () -> { }).validate(executor, 1, alone, (chain, composition) -> {
            double sum = 0;
            for (Choice choice : composition.choices) {
                sum += alone.get(choice).medianMs;
            }
            return factor * sum + constantMs;
        }, () -> { });
    }

    @Test
    public void linesAreThoseOfPythonToTheBit() throws Exception {
        Answers.check("in_use", 60, one -> {
            InUse used = InUse.lineThrough(Vectors.doubles(Vectors.list(one, "x")),
                    Vectors.doubles(Vectors.list(one, "y")), (int) Vectors.number(one.get("segments")));
            List<Object> latencies = new ArrayList<>();
            for (double ms : Vectors.doubles(Vectors.list(one, "alone_ms"))) {
                latencies.add(used.latencyMs(ms));
            }
            JsonObject wanted = Vectors.object(one, "answer");
            assertArrayEquals(Vectors.string(one, "name"),
                    new double[] {Vectors.number(wanted.get("factor")), Vectors.number(wanted.get("constant_ms"))},
                    new double[] {used.factor, used.constantMs}, 0);
            return new JsonObject().put("factor", used.factor).put("constant_ms", used.constantMs)
                    .put("overhead_ms", used.overheadMs()).put("latency_ms", latencies);
        });
    }

    @Test
    public void whatWholesTakeMoreIsTheChainsOverhead() {
        Validator.Found found = found(0.5, 3);
        for (Map.Entry<Choice, Latency> one : found.latencies.entrySet()) {
            assertEquals(alone.get(one.getKey()).minMs / 2, one.getValue().minMs, 1e-9);
            assertEquals(alone.get(one.getKey()).medianMs / 2, one.getValue().medianMs, 1e-9);
            assertEquals(alone.get(one.getKey()).p95Ms / 2, one.getValue().p95Ms, 1e-9);
        }
        Profile profile = new Profile(store.id(), store.name(), Device.fingerprint(executor), "now",
                TestStores.profile(store, executor).options(), Collections.<Tail>emptyList(),
                new TreeMap<>(Collections.singletonMap(1, found)), null);
        assertEquals(3, profile.chainOverheadMs().get(1), 1e-9);
        List<JsonObject> chain = Vectors.list((JsonObject) Json.parse(profile.toJson()), "chain");
        assertEquals(1, chain.size());
        assertEquals("1", chain.get(0).get("threads").toString());
        assertEquals(3, Vectors.number(chain.get(0).get("overhead_ms")), 1e-9);
        assertEquals(0.0, Double.parseDouble(found.validation.get("p95_error").toString()), 1e-9);
    }

    @Test
    public void whatWholesTakeLessIsTakenFromTheOptions() {
        Validator.Found found = found(1.25, -0.6);
        assertEquals(0, found.used.overheadMs(), 0);
        int segments = store.manifest().segments.size();
        for (Map.Entry<Choice, Latency> one : found.latencies.entrySet()) {
            assertEquals(1.25 * alone.get(one.getKey()).medianMs - 0.6 / segments, one.getValue().medianMs, 1e-9);
        }
        assertEquals(0.0, Double.parseDouble(found.validation.get("p95_error").toString()), 1e-9);
    }

    @Test
    public void profilingThatGoesOnHasTheLineAndTheTailsThatWereFound() {
        File file = new File(temporary.getRoot(), "chain.json");
        ProfilingState state = new ProfilingState(file, "the same");
        state.keep(Collections.singletonMap(new Choice("head", "s0", 1), new Weigher.Weight(1000, 1)));
        Validator.Found found = found(1.25, -0.6);
        state.keep(1, found);
        Validator.Found kept = new ProfilingState(file, "the same").timed(1);
        assertEquals(-0.6, kept.used.constantMs, 1e-9);
        assertArrayEquals(new double[] {found.used.factor, found.used.constantMs, found.used.segments},
                new double[] {kept.used.factor, kept.used.constantMs, kept.used.segments}, 0);
        assertEquals(found.latencies.keySet(), kept.latencies.keySet());
        assertEquals(3, kept.tails.size());
        assertEquals(Answers.tails(found.tails), Answers.tails(kept.tails));
    }
}
