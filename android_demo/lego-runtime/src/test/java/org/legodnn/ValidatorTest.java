package org.legodnn;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.io.IOException;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.SortedMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;

import org.junit.Before;
import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;

/** Whole compositions tell what options take in use, how far predictions are off, and how long the slowest take. */
public class ValidatorTest {
    @Rule public final TemporaryFolder temporary = new TemporaryFolder();

    private final AffineExecutor executor = new AffineExecutor();
    private Store store;
    private boolean paused;

    @Before
    public void makeStore() throws IOException {
        store = TestStores.chain(temporary.newFolder("chain"), "chain");
    }

    /** Every option takes so long by itself. */
    private Map<Choice, Latency> latencies(int threads, double ms) {
        Map<Choice, Latency> latencies = new HashMap<>();
        for (Segment segment : store.manifest().segments) {
            for (Option option : segment.options) {
                latencies.put(new Choice(segment.name, option.name, threads),
                        new Latency(threads, 5, ms, ms, ms, null));
            }
        }
        return latencies;
    }

    private Validator validator(int rounds) {
        return new Validator(store, new Random(0), rounds, () -> paused = true);
    }

    /** Whether there was a pause since this was asked last. */
    private boolean paused() {
        boolean was = paused;
        paused = false;
        return was;
    }

    /** Which runs come: of four compositions of the line seven each; of four others one, turns of five, and nine. */
    private static final class Runs {
        private final int turns;
        int count;
        /** Whether it is of a composition that judges. */
        boolean judges;
        /** The composition's number among those of its kind. */
        int plan;
        /** Whether it is the composition's first run. */
        boolean warmUp;
        int turn;
        /** The number in its turn. */
        int inTurn;
        /** Whether turns are over. */
        boolean periodic;

        Runs(int turns) {
            this.turns = turns;
        }

        void next() {
            int ofGroup = 4 * (7 + 1 + turns * 5 + 9);
            int at = count % ofGroup;
            plan = count / ofGroup * 4;
            count++;
            judges = at >= 4 * 7;
            periodic = at >= 4 * (7 + 1 + turns * 5);
            if (!judges) {
                plan += at / 7;
                warmUp = at % 7 == 0;
                return;
            }
            at -= 4 * 7 + 4;
            if (periodic) {
                at -= 4 * turns * 5;
                plan += at / 9;
                warmUp = at % 9 == 0;
                return;
            }
            warmUp = at < 0;
            if (!warmUp) {
                plan += at / 5 % 4;
                turn = at / 5 / 4;
                inTurn = at % 5;
            }
        }
    }

    @Test
    public void allCompositionsTellWhatOptionsTakeInUseAndHalfOfThemJudgeWhatTheOthersTell() {
        Runs runs = new Runs(6);
        AtomicInteger steps = new AtomicInteger();
        Validator.Found found = validator(69).validate(executor, 1, latencies(1, 2), (chain, composition) -> {
            runs.next();
            assertEquals("a pause before each but the first", runs.periodic && !runs.warmUp, paused());
            if (runs.warmUp) {
                return 100;
            }
            if (runs.periodic) {
                return 14;
            }
            return runs.judges ? runs.inTurn == 0 ? 12 : 8 : runs.plan < 15 ? 7 : 8; // 15 of one half, 15 of all
        }, steps::incrementAndGet);
        assertEquals("6 ms of options, 8 as a whole, and no other sum", 0, found.used.overheadMs(), 0);
        for (Latency used : found.latencies.values()) {
            assertEquals(8 / 3.0, used.medianMs, 1e-9);
        }
        for (String error : new String[] {"median_error", "p95_error"}) {
            assertEquals("the others alone tell 7 ms, and first inferences do not count", 1 / 8.0,
                    Double.parseDouble(found.validation.get(error).toString()), 1e-9);
        }
        assertEquals(3, found.tails.size());
        check("alone", 20 * 6 * 4, 0.995, 1, found.tails.get(0));
        check("after", 20 * 6, 0.99, 1.5, found.tails.get(1));
        check("periodic", 20 * 8, 0.99, 1.75, found.tails.get(2));
        assertEquals(20 * 7 + 20 * (1 + 6 * 5 + 1 + 8), runs.count);
        assertEquals(20 + 20 * 6 + 20, steps.get());
        assertEquals(Validator.steps(69), steps.get());
        assertEquals(0, executor.open.get());
    }

    /** So many inferences tell quantiles up to the last one, all of which are the same. */
    private static void check(String condition, int inferences, double last, double stretch, Tail tail) {
        assertEquals(condition, tail.condition);
        assertEquals(condition, inferences, tail.inferences);
        assertEquals(condition, last, tail.stretch.lastKey(), 0);
        for (double found : tail.stretch.values()) {
            assertEquals(condition, stretch, found, 1e-9);
        }
    }

    @Test
    public void tailsAreWhatNineCompositionsInTenKeepOfTheirOwn() {
        Runs runs = new Runs(10);
        List<Tail> tails = validator(100).validate(executor, 1, latencies(1, 2), (chain, composition) -> {
            runs.next();
            if (runs.warmUp || !runs.judges || runs.periodic) {
                return 8;
            }
            if (runs.turn == 3 && runs.inTurn == 4) {
                return 24; // one inference of each
            }
            return runs.plan == 1 || runs.plan == 10 ? 16 : 8; // two compositions of twenty
        }, () -> { }).tails;
        SortedMap<Double, Double> alone = tails.get(0).stretch;
        assertEquals("longer profiles have more turns", 20 * 10 * 4, tails.get(0).inferences);
        assertEquals("one inference in ten, which is most of two compositions", 2, alone.get(0.5), 1e-9);
        assertEquals("one of the 40 of each", 2, alone.get(0.95), 1e-9);
        assertEquals("is three times the median", 2 * 3, alone.get(0.98), 1e-9);
        check("after", 20 * 10, 0.995, 2, tails.get(1));
    }

    @Test
    public void firstInferencesFollowOthersThoughFewMayBeLoaded() {
        // 3, 21, 33 and 57 threads in pools of a composition. Beside one that is alone is one of one thread.
        check(2, 4, false);
        check(8, 3, false);
        check(12, 2, false);
        check(20, 2, false);
        check(20, 4, true);
    }

    private void check(int threads, int together, boolean shared) {
        executor.shared = shared;
        Map<Chain, Set<Chain.Composition>> loaded = new HashMap<>();
        AtomicReference<Chain.Composition> last = new AtomicReference<>();
        Map<Choice, Latency> each = latencies(threads, 2);
        Validator.Found found = validator(1).validate(executor, threads, each, (chain, composition) -> {
            assertTrue(executor.pooled + " threads in pools", shared || executor.pooled.get() <= PoolThreads.MOST);
            loaded.computeIfAbsent(chain, of -> new HashSet<>()).add(composition);
            return last.getAndSet(composition) == composition ? 8 : 12;
        }, () -> { });
        assertEquals(threads + " threads, together", together,
                Collections.max(loaded.values(), (a, b) -> a.size() - b.size()).size());
        check("alone", 20 * 6 * 4, 0.995, 1, found.tails.get(0));
        check("after", 20 * 6, 0.99, 1.5, found.tails.get(1));
        check("periodic", 20 * 8, 0.99, 1, found.tails.get(2));
        for (Tail tail : found.tails) {
            assertEquals(threads, tail.threads);
        }
        assertEquals("all is let go", 0, executor.open.get());
    }

    @Test
    public void aClockThatTellsNoTimeTellsOfNoTail() {
        Validator.Found found = validator(1).validate(
                executor, 1, latencies(1, 0), (chain, composition) -> 0, () -> { });
        check("alone", 20 * 6 * 4, 0.995, 1, found.tails.get(0));
        check("after", 20 * 6, 0.99, 1, found.tails.get(1));
        check("periodic", 20 * 8, 0.99, 1, found.tails.get(2));
    }

    @Test
    public void aPauseIsAPauseAndAnInterruptedOneEndsTheProfiling() {
        long start = System.nanoTime();
        Validator.sleep();
        assertTrue(System.nanoTime() - start >= 29_000_000);
        Thread.currentThread().interrupt();
        ProfileException stopped = assertThrows(ProfileException.class, Validator::sleep);
        assertTrue(stopped.getMessage(), stopped.getMessage().startsWith("profiling was stopped"));
        assertTrue("the thread is still interrupted", Thread.interrupted());
    }
}
