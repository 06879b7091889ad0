package org.legodnn;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;

import org.junit.Test;

/** Plans that a deadline ends: they hold the limits, and the best is no further away than their gap. */
public class DeadlineTest {
    private static final double NEAR = 1e-9;

    /** Models whose options are worth about what they weigh: the hard kind. */
    private static List<ModelTable> manyModels(int models, int blocks, int options) {
        Random random = new Random(1);
        List<ModelTable> tables = new ArrayList<>();
        for (int m = 0; m < models; m++) {
            List<BlockRows> rows = new ArrayList<>();
            for (int b = 0; b < blocks; b++) {
                List<OptionRow> some = new ArrayList<>();
                for (int o = 0; o < options; o++) {
                    int memory = 1 + random.nextInt(1000);
                    double ms = (1 + random.nextInt(1000)) / 1e3;
                    double value = (memory / 2e3 + ms / 2) * (0.8 + 0.4 * random.nextDouble());
                    some.add(new OptionRow("o" + o, memory * 1000L, Collections.singletonMap(1, ms), 1 - value,
                            memory * 1000L, 1));
                }
                rows.add(new BlockRows("b" + b, some));
            }
            Link link = new Link(new double[] {-2 * blocks, 2 * blocks}, new double[] {2 * blocks, -2 * blocks});
            tables.add(new ModelTable("m" + m, rows, Collections.<BlockRows>emptyList(), link, 0).withRateHz(10.0));
        }
        return tables;
    }

    private static void check(Scheduler scheduler, Budget budget, Plan running, double deadlineMs) {
        Plan hurried = scheduler.plan(budget, running, null, deadlineMs);
        Plan proven = scheduler.plan(budget, running, null, Double.POSITIVE_INFINITY);
        double worth = hurried.objective() - hurried.switchCharge();
        double best = proven.objective() - proven.switchCharge();
        assertTrue(hurried.memoryBytes() <= budget.memoryBytes());
        assertTrue(budget.cores() == null || hurried.cores() <= budget.cores() + NEAR);
        assertTrue(worth + " beyond " + best, worth <= best + proven.gap() + NEAR);
        assertTrue(best + " beyond " + worth + " + " + hurried.gap(), best <= worth + hurried.gap() + NEAR);
        assertEquals(hurried.gap(), Plan.parse(hurried.toJson()).gap(), 0);
    }

    @Test
    public void hardKnapsacksHaveAPlanByTheDeadline() {
        Scheduler scheduler = new Scheduler(manyModels(20, 1, 30), SwitchCharge.NONE);
        Plan free = scheduler.plan(Budget.none());
        Budget memory = Budget.none().withMemoryBytes(free.memoryBytes() / 2);
        for (double ms : new double[] {0, 5, 30}) {
            check(scheduler, memory, null, ms);
            check(scheduler, memory.withCores(free.cores() * 0.6), null, ms);
        }
        assertTrue(scheduler.plan(memory.withCores(free.cores() * 0.6), null, null, 0).gap() > 0);
    }

    @Test
    public void chargesArePlannedWithByTheDeadline() {
        List<ModelTable> tables = manyModels(2, 6, 10);
        for (double perMb : new double[] {0.001, 0.1, 1}) {
            Scheduler scheduler = new Scheduler(tables, new SwitchCharge(perMb, 0));
            Plan running = scheduler.plan(Budget.none());
            Budget budget = Budget.none().withMemoryBytes(running.memoryBytes() * 2 / 3)
                    .withCores(running.cores() * 0.8);
            for (double ms : new double[] {0, 5, 30}) {
                check(scheduler, budget, running, ms);
            }
        }
    }

    @Test
    public void aDeadlineBetweenTheThreadCountsOfAModelIsToldInTheGap() {
        Random random = new Random(1);
        List<OptionRow> some = new ArrayList<>();
        for (int o = 0; o < 500; o++) {
            int memory = 1 + random.nextInt(1000);
            double ms = (1 + random.nextInt(1000)) / 1e3;
            Map<Integer, Double> latency = new TreeMap<>();
            for (int threads = 1; threads <= 4; threads++) {
                latency.put(threads, ms / threads * (0.9 + 0.3 * random.nextDouble()));
            }
            double value = (memory / 2e3 + ms / 2) * (0.8 + 0.4 * random.nextDouble());
            some.add(new OptionRow("o" + o, memory * 1000L, latency, 1 - value, memory * 1000L, 1));
        }
        ModelTable table = new ModelTable("m", Collections.singletonList(new BlockRows("b", some)),
                Collections.<BlockRows>emptyList(), new Link(new double[] {-2, 2}, new double[] {2, -2}), 0);
        Scheduler scheduler = new Scheduler(Collections.singletonList(table), new SwitchCharge(0.1, 0));
        Plan running = scheduler.plan(Budget.none());
        Budget budget = Budget.none().withMemoryBytes(running.memoryBytes() * 6 / 10).withQuantile(0.5)
                .withLatencyMs(running.get("m").latencyMs * 0.6);
        for (int i = 0; i < 300; i++) {
            check(scheduler, budget, running, 0.02 * (i % 100));
        }
    }

    @Test
    public void remediesAreShortAndOnTheSafeSide() {
        assertEquals("0.138181 ms", new Limit(Limit.Kind.LATENCY, "m", null, 1, 0.13818000000000003, true).remedy());
        assertEquals("20.001 MB", new Limit(Limit.Kind.MEMORY, null, null, 1, 20_000_123.0, true).remedy());
        assertEquals("20 B", new Limit(Limit.Kind.MEMORY, null, null, 1, 20.0, true).remedy());
        assertEquals("0.123457 cores", new Limit(Limit.Kind.CORES, null, null, 1, 0.1234560001, true).remedy());
        assertEquals("0.919999", new Limit(Limit.Kind.ACCURACY, "m", null, 1, 0.9199999999, true).remedy());
        assertEquals("", new Limit(Limit.Kind.ACCURACY, "m", null, 1, null, true).remedy());
    }

    @Test
    public void aGreatLossLeavesSmallOnesExact() {
        List<OptionRow> small = Arrays.asList(new OptionRow("a", 20, Collections.singletonMap(1, 1.0), 0, 0, 0),
                new OptionRow("b", 10, Collections.singletonMap(1, 1.0), 5e-6, 0, 0));
        List<OptionRow> great = Arrays.asList(new OptionRow("a", 20, Collections.singletonMap(1, 1.0), 0, 0, 0),
                new OptionRow("b", 10, Collections.singletonMap(1, 1.0), 1e7, 0, 0));
        Link link = new Link(new double[] {0, 1e-5}, new double[] {1, 0});
        ModelTable table = new ModelTable("m", Arrays.asList(
                new BlockRows("x", small, Collections.<List<Double>>emptyList()),
                new BlockRows("y", great, Collections.<List<Double>>emptyList())),
                Collections.<BlockRows>emptyList(), link, 0);
        Plan plan = new Scheduler(Collections.singletonList(table), SwitchCharge.NONE)
                .plan(Budget.none().withMemoryBytes(30));
        assertEquals(0.5, plan.get("m").accuracy, NEAR);
    }
}
