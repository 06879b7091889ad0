package org.legodnn;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNotNull;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

import org.junit.Test;

/** The scheduler against trying everything, which shares nothing with it. */
public class SchedulerTest {
    private static final double NEAR = 1e-9;

    /** A question: tables, limits, and what runs. */
    private static final class Case {
        final List<ModelTable> tables = new ArrayList<>();
        Budget budget = Budget.none();
        Plan running;
        final Map<String, Double> slowdown = new HashMap<>();
        SwitchCharge charge = SwitchCharge.NONE;
    }

    /** A model of some figures; bytes and milliseconds lie close together, or are spread widely. */
    private static ModelTable table(Random random, String name, long spread) {
        int[] threads = random.nextInt(3) == 0 ? new int[] {1, 2} : new int[] {1};
        long memory = random.nextInt(2) == 0 ? 0 : 1_000_000;
        List<BlockRows> blocks = new ArrayList<>();
        int count = 1 + random.nextInt(3);
        for (int b = 0; b < count; b++) {
            List<OptionRow> options = new ArrayList<>();
            int some = 1 + random.nextInt(3);
            for (int o = 0; o < some; o++) {
                Map<Integer, Double> latency = new TreeMap<>();
                for (int n : threads) {
                    latency.put(n, (1000 + random.nextInt((int) Math.min(spread, 1000))) / 1000.0 / n);
                }
                options.add(new OptionRow("o" + o, memory + (long) (random.nextDouble() * spread), latency,
                        random.nextInt(8) / 16.0, random.nextInt(2_000_000), random.nextInt(4)));
            }
            int before = b == 0 || random.nextInt(3) == 0 ? 0 : blocks.get(b - 1).options.size();
            blocks.add(new BlockRows("b" + b, options, interaction(random, before, some)));
        }
        Link link = random.nextInt(3) == 0 ? new Link(new double[] {0, 0.4, 1}, new double[] {0.9, 0.9, 0.2})
                : Link.IDENTITY;
        ModelTable table = new ModelTable(name, blocks, Collections.<BlockRows>emptyList(), link, 0)
                .withWeight(0.5 + random.nextInt(4)).withRateHz(10 * random.nextInt(4));
        if (random.nextInt(3) == 0) {
            table = table.withLatencyMs(count * (0.5 + random.nextDouble()));
        }
        if (random.nextInt(2) == 0) {
            SortedMap<Integer, SortedMap<Double, Double>> tails = new TreeMap<>();
            for (int n : threads) {
                tails.put(n, new TreeMap<>(Collections.singletonMap(0.95, 1 + n * random.nextDouble() / 4)));
            }
            table = table.withTails(Tails.of(tails));
        }
        if (random.nextInt(4) == 0) {
            table = table.withMinAccuracy(random.nextDouble() * 0.7);
        }
        return table.withCritical(random.nextInt(4) > 0);
    }

    private static List<List<Double>> interaction(Random random, int before, int options) {
        List<List<Double>> rows = new ArrayList<>();
        for (int i = 0; i < before; i++) {
            List<Double> row = new ArrayList<>();
            for (int o = 0; o < options; o++) {
                row.add((random.nextInt(9) - 4) / 16.0);
            }
            rows.add(row);
        }
        return rows;
    }

    private static Case random(Random random) {
        Case one = new Case();
        long spread = new long[] {3, 6, 100_000}[random.nextInt(3)];
        int models = 1 + random.nextInt(2);
        long memory = 0;
        for (int m = 0; m < models; m++) {
            ModelTable table = table(random, "m" + m, spread);
            one.tables.add(table);
            for (BlockRows block : table.blocks) {
                memory += block.options.get(random.nextInt(block.options.size())).memoryBytes;
            }
            if (random.nextInt(4) == 0) {
                double factor = random.nextInt(3) == 0 ? 1 / 3.0 : 0.5;
                one.slowdown.put(table.name, factor + random.nextInt(3));
            }
        }
        if (random.nextInt(5) > 0 && memory > 0) {
            one.budget = one.budget.withMemoryBytes(random.nextInt(3) > 0 ? memory : memory - memory / 20);
        }
        if (random.nextInt(3) == 0) {
            one.budget = one.budget.withCores(0.02 + random.nextDouble() * 0.15);
        }
        if (random.nextInt(2) == 0) {
            List<ModelPlan> parts = new ArrayList<>();
            for (ModelTable table : one.tables) {
                Map<String, String> options = new HashMap<>();
                for (BlockRows block : table.blocks) {
                    options.put(block.name, block.options.get(random.nextInt(block.options.size())).name);
                }
                parts.add(new ModelPlan(table.name, false, 1, options, 0, 0, 0, null, 0.95, null, 0, 0));
            }
            one.running = new Plan(parts, Budget.none(), 0, 0, 0);
            one.charge = new SwitchCharge(random.nextInt(3) * 0.05, random.nextInt(3) * 0.01);
        }
        return one;
    }

    /** The greatest worth of all plans: objective - charge, less 1000 for each suspended model. NaN if none holds. */
    private static double best(Case one, int m, long memory, double cores) {
        if (m == one.tables.size()) {
            Long limit = one.budget.memoryBytes();
            boolean holds = (limit == null || memory <= limit)
                    && (one.budget.cores() == null || cores <= Math.rint(one.budget.cores() * 1e9));
            return holds ? 0 : Double.NaN;
        }
        ModelTable table = one.tables.get(m);
        double best = Double.NaN;
        if (!table.critical) {
            best = better(best, best(one, m + 1, memory, cores) - 1000);
        }
        for (int threads : table.threadCounts) {
            int[] choice = new int[table.blocks.size()];
            do {
                best = better(best, with(one, m, memory, cores, threads, choice));
            } while (next(choice, table));
        }
        return best;
    }

    private static double better(double a, double b) {
        return Double.isNaN(a) ? b : Double.isNaN(b) ? a : Math.max(a, b);
    }

    private static boolean next(int[] choice, ModelTable table) {
        for (int b = 0; b < choice.length; b++) {
            if (++choice[b] < table.blocks.get(b).options.size()) {
                return true;
            }
            choice[b] = 0;
        }
        return false;
    }

    private static double with(Case one, int m, long memory, double cores, int threads, int[] choice) {
        ModelTable table = one.tables.get(m);
        double slow = one.slowdown.containsKey(table.name) ? one.slowdown.get(table.name) : 1;
        ModelPlan now = one.running == null ? null : one.running.get(table.name);
        long bytes = 0;
        long ns = 0;
        double loss = 0;
        double charge = 0;
        for (int b = 0; b < choice.length; b++) {
            BlockRows block = table.blocks.get(b);
            OptionRow option = block.options.get(choice[b]);
            bytes += option.memoryBytes;
            ns += Math.round(option.latencyMs.get(threads) * 1e6);
            loss += option.loss;
            loss += block.interaction.isEmpty() ? 0 : block.interaction.get(choice[b - 1]).get(choice[b]);
            boolean kept = now != null && now.threads == threads && option.name.equals(now.options.get(block.name));
            charge += now == null || kept ? 0 : one.charge.of(option);
        }
        double accuracy = table.link.at(loss);
        if (table.latencyMs != null && ns * slow * table.tails.stretch(threads, 0.95) / 1e6 > table.latencyMs
                || table.minAccuracy != null && accuracy < table.minAccuracy - 1e-12) {
            return Double.NaN;
        }
        double used = Math.ceil(ns * (table.rateHz * slow * threads));
        return best(one, m + 1, memory + bytes, cores + used) + table.weight * accuracy - charge;
    }

    @Test
    public void everyPlanIsTheBestOfAll() {
        int plans = 0;
        int none = 0;
        for (int seed = 0; seed < 3000; seed++) {
            Case one = random(new Random(seed));
            double wanted = best(one, 0, 0, 0);
            try {
                Plan plan = new Scheduler(one.tables, one.charge).plan(
                        one.budget, one.running, one.slowdown, Double.POSITIVE_INFINITY);
                double found = plan.objective() - plan.switchCharge() - 1000 * plan.suspended().size();
                assertEquals("seed " + seed, wanted, found, NEAR);
                plans++;
            } catch (InfeasibleException e) {
                assertTrue("seed " + seed, Double.isNaN(wanted));
                assertNotNull(e.report().toJson());
                none++;
            }
        }
        assertTrue(plans + " plans, " + none + " without", plans > 1500 && none > 300);
    }

    @Test
    public void whatAReportSaysIsNeededIsJustEnough() {
        int checked = 0;
        Set<Limit.Kind> kinds = EnumSet.noneOf(Limit.Kind.class);
        for (int seed = 0; seed < 1500; seed++) {
            Case one = random(new Random(seed));
            Scheduler scheduler = new Scheduler(one.tables, one.charge);
            Infeasible report;
            try {
                scheduler.plan(one.budget, one.running, one.slowdown, Double.POSITIVE_INFINITY);
                continue;
            } catch (InfeasibleException e) {
                report = e.report();
            }
            for (Limit limit : report.limits()) {
                if (limit.needed != null) {
                    kinds.add(limit.kind);
                    assertTrue("seed " + seed + ": " + limit.title(), holds(one, limit, limit.needed));
                    assertFalse("seed " + seed + ": " + limit.title(), holds(one, limit, less(limit)));
                    checked++;
                }
            }
        }
        assertEquals(EnumSet.allOf(Limit.Kind.class), kinds);
        assertTrue("checked " + checked, checked > 50);
    }

    /** A value of a limit that is the least bit tighter than what is needed: more than what rounding may take. */
    private static double less(Limit limit) {
        switch (limit.kind) {
            case MEMORY:
                return limit.needed - 1;
            case CORES:
                return limit.needed - 1e-9;
            case LATENCY:
                return Math.nextDown(limit.needed);
            default:
                return limit.needed + NEAR;
        }
    }

    /** Whether a plan exists with one limit at another value. */
    private static boolean holds(Case one, Limit limit, double value) {
        if (limit.kind == Limit.Kind.MEMORY && value < 1 || limit.kind == Limit.Kind.CORES && value <= 0) {
            return false; // there are no such budgets
        }
        Budget budget = one.budget;
        List<ModelTable> tables = new ArrayList<>(one.tables);
        if (limit.kind == Limit.Kind.MEMORY) {
            budget = budget.withMemoryBytes((long) value);
        } else if (limit.kind == Limit.Kind.CORES) {
            budget = budget.withCores(value);
        }
        for (int m = 0; m < tables.size(); m++) {
            if (tables.get(m).name.equals(limit.model)) {
                tables.set(m, limit.kind == Limit.Kind.LATENCY ? tables.get(m).withLatencyMs(value)
                        : tables.get(m).withMinAccuracy(value));
            }
        }
        try {
            new Scheduler(tables, SwitchCharge.NONE).plan(budget, null, one.slowdown);
            return true;
        } catch (InfeasibleException e) {
            return false;
        }
    }

    @Test
    public void numbersThatAreNoneAreRefused() {
        for (double bad : new double[] {Double.NaN, Double.POSITIVE_INFINITY, 0, -1}) {
            assertThrows(WorkloadException.class, () -> Budget.none().withLatencyMs(bad));
            assertThrows(WorkloadException.class, () -> Budget.none().withLatencyMs("a", bad));
            assertThrows(WorkloadException.class, () -> Budget.none().withCores(bad));
        }
        assertThrows(WorkloadException.class, () -> Budget.none().withMemoryBytes(0));
        assertThrows(WorkloadException.class, () -> Budget.none().withMemoryBytes(1L << 62));
        assertThrows(WorkloadException.class, () -> new SwitchCharge(Double.NaN, 0));
        assertThrows(WorkloadException.class, () -> new Link(new double[] {0, Double.NaN}, new double[] {1, 0}));
        assertThrows(WorkloadException.class,
                () -> new Scheduler(Collections.<ModelTable>emptyList(), SwitchCharge.NONE));
        ModelTable m = table(new Random(0), "m", 1);
        Scheduler scheduler = new Scheduler(Collections.singletonList(m), SwitchCharge.NONE);
        for (double bad : new double[] {Double.NaN, Double.POSITIVE_INFINITY, 0, -1, 2e6}) {
            WorkloadException e = assertThrows(WorkloadException.class,
                    () -> scheduler.plan(Budget.none(), null, Collections.singletonMap("m", bad)));
            assertTrue(e.getMessage(), e.getMessage().endsWith("; it must be above 0 and at most 1000000, 1 for none"));
        }
    }

    @Test
    public void aBudgetHoldsOneLimitOfLatencyOrSome() {
        Budget budget = Budget.none().withLatencyMs(5).withLatencyMs("a", 3);
        assertNull(budget.latencyMs());
        assertEquals(Collections.singletonMap("a", 3.0), budget.latencyByModel());
        assertEquals(Budget.none().withLatencyMs(5), budget.withLatencyMs(5));
        assertEquals(Budget.none(), budget.withoutLatency());
        assertFalse(budget.equals(Budget.none()));
        assertEquals("memory 20 MB, latency 5.0 ms",
                Budget.none().withMemoryBytes(20_000_000).withLatencyMs(5).toString());
    }

    @Test
    public void severalThreadsMayPlanAtOnce() throws Exception {
        Random random = new Random(5);
        List<ModelTable> tables = new ArrayList<>();
        for (int m = 0; m < 3; m++) {
            List<BlockRows> blocks = new ArrayList<>();
            for (int b = 0; b < 5; b++) {
                List<OptionRow> options = new ArrayList<>();
                for (int o = 0; o < 6; o++) {
                    options.add(new OptionRow("o" + o, 1000 - 100 * o + random.nextInt(100),
                            Collections.singletonMap(1, 2.0 - 0.2 * o + random.nextInt(100) / 1000.0), o * 0.01, 10,
                            1));
                }
                blocks.add(new BlockRows("b" + b, options));
            }
            tables.add(new ModelTable("m" + m, blocks, Collections.<BlockRows>emptyList(), Link.IDENTITY, 0));
        }
        Scheduler alone = new Scheduler(tables, SwitchCharge.NONE);
        Scheduler shared = new Scheduler(tables, SwitchCharge.NONE);
        List<Budget> budgets = new ArrayList<>();
        List<String> wanted = new ArrayList<>();
        for (int i = 0; i < 200; i++) {
            budgets.add(Budget.none().withMemoryBytes(9000 + random.nextInt(6000))
                    .withLatencyMs(6 + random.nextDouble() * 4));
            // Without a deadline, so that what is found does not depend on how busy this machine is.
            wanted.add(alone.plan(budgets.get(i), null, null, Double.POSITIVE_INFINITY).toJson());
        }
        ExecutorService pool = Executors.newFixedThreadPool(4);
        List<Future<String>> found = new ArrayList<>();
        for (Budget budget : budgets) {
            found.add(pool.submit(() -> shared.plan(budget, null, null, Double.POSITIVE_INFINITY).toJson()));
        }
        for (int i = 0; i < budgets.size(); i++) {
            assertEquals(wanted.get(i), found.get(i).get());
        }
        pool.shutdown();
    }
}
