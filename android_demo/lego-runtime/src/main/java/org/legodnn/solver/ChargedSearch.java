package org.legodnn.solver;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;

/**
 * The search for the compositions of one model that can be part of a plan worth a given value, charge included.
 *
 * <p>A plan with composition x is worth at most r(x) + rest at any prices p of memory and compute, where the reduced
 * value is r(x) = v(x) - charge(x) - p . w(x), and `rest` what limits and other models add. Compositions are put
 * together block by block. A partial one is dropped when even its best completion is not worth enough; that is known
 * from bounds ({@link Ceiling}), each for a line above the link and a price of latency. No more than `width` partial
 * compositions go on to the next block, those of the greatest bounds.
 */
final class ChargedSearch {
    /** Lines above the link that are used as bounds at the same prices: those that bound best. */
    private static final int MOST_LINES = 2;
    /** What latency is worth may be less to a partial composition than to the whole. */
    private static final double[] SHARES = {1, 0};
    /** So few partial compositions are not compared; and with so many, the most promising, the others are. */
    private static final int FEW = 128;
    private static final int COMPARED = 256;
    /** Where all blocks together have more options, two of them are not changed at a time. */
    private static final int MOST_CHANGED = 200;
    /** Pairs of a partial composition and an option that are looked at, at most. */
    private static final int PAIRS = 1 << 18;
    /** Sums of a partial composition: memory, latency, loss, charge. */
    private static final int SUMS = 4;

    private final Instance instance;
    private final Limits limits;
    private final int m;
    /** What reduced values may be off by. */
    private final double rounding;
    private final CompiledModel model;
    private final Composition now;
    private final long limit;

    ChargedSearch(Instance instance, Limits limits, int m, double rounding) {
        this.instance = instance;
        this.limits = limits;
        this.m = m;
        this.rounding = rounding;
        this.model = instance.models[m];
        this.now = instance.running[m];
        this.limit = limits.latencyNs(m, instance.slowdown[m]);
    }

    /** Prices of memory and compute, and what limits and other models add to a model's reduced value. */
    static final class Prices {
        final double memory;
        final double cores;
        final double rest;

        Prices(double memory, double cores, double rest) {
            this.memory = memory;
            this.cores = cores;
            this.rest = rest;
        }
    }

    /** Compositions found, and what a plan with one that was not looked at may be worth. */
    static final class Found {
        final Candidates candidates;
        final double lost;

        Found(Candidates candidates, double lost) {
            this.candidates = candidates;
            this.lost = lost;
        }
    }

    /** Compositions at one thread count: their options, one after the other, and four sums of each. */
    private static final class Part {
        final int n;
        final char[] choice;
        final long[][] sums;
        double lost = Double.NEGATIVE_INFINITY;

        Part(int n, char[] choice, long[][] sums) {
            this.n = n;
            this.choice = choice;
            this.sums = sums;
        }
    }

    private double slack() {
        return model.scale.step + rounding;
    }

    /** No less than the greatest reduced value, quickly. */
    double highest(Prices prices) {
        double most = Double.NEGATIVE_INFINITY;
        for (int n = 0; n < model.threadCounts.length; n++) {
            most = Math.max(most, least(ceilings(n, Collections.singletonList(prices))));
        }
        return most + slack();
    }

    private static double least(List<Ceiling> ceilings) {
        double least = ceilings.isEmpty() ? Double.NEGATIVE_INFINITY : Double.POSITIVE_INFINITY;
        for (Ceiling ceiling : ceilings) {
            least = Math.min(least, ceiling.top);
        }
        return least;
    }

    /** Compositions within the model's own limits and `room` of memory that may be in a plan worth `floor`. */
    Found compositions(List<Prices> prices, double floor, long room, int width, Clock clock) {
        List<Part> parts = new ArrayList<>();
        double lost = clock.over() ? Double.POSITIVE_INFINITY : Double.NEGATIVE_INFINITY;
        for (int n = 0; n < model.threadCounts.length; n++) {
            Part part = clock.over() ? none(n) : search(n, prices, floor - slack(), room, width, clock);
            if (part == null) {
                part = none(n);
                lost = Double.POSITIVE_INFINITY;
            }
            parts.add(part);
            lost = Math.max(lost, part.lost + slack());
        }
        return new Found(candidates(parts, room), lost);
    }

    /** What runs, and that with an option or two changed, as far as it is within the model's limits and `room`. */
    Candidates around(long room) {
        if (now == null) {
            return candidates(Collections.singletonList(none(0)), room);
        }
        int blocks = model.loads.length;
        int options = 0;
        for (long[] load : model.loads) {
            options += load.length;
        }
        List<char[]> choices = new ArrayList<>();
        char[] runs = new char[blocks];
        for (int b = 0; b < blocks; b++) {
            runs[b] = (char) now.option(b);
        }
        choices.add(runs);
        for (int b = 0; b < blocks; b++) {
            addChanged(choices, runs, b, b);
        }
        for (int b = 0; b < blocks && options <= MOST_CHANGED; b++) {
            for (int c = b + 1; c < blocks; c++) {
                addChanged(choices, runs, b, c);
            }
        }
        int n = model.threadIndex(now.threads);
        long[][] charges = charges(n);
        long[][] sums = new long[SUMS][choices.size()];
        char[] joined = new char[choices.size() * blocks];
        for (int i = 0; i < choices.size(); i++) {
            char[] choice = choices.get(i);
            sums[0][i] = model.fixedMemory[n];
            sums[1][i] = model.fixedLatency[n];
            for (int b = 0; b < blocks; b++) {
                addOption(sums, i, model.rows[n][b], charges[b], b == 0 ? 0 : choice[b - 1], choice[b]);
            }
            System.arraycopy(choice, 0, joined, i * blocks, blocks);
        }
        return candidates(Collections.singletonList(new Part(n, joined, sums)), room);
    }

    /** All choices of options for blocks b and c, which may be the same one; elsewhere what runs. */
    private void addChanged(List<char[]> choices, char[] runs, int b, int c) {
        for (int o = 0; o < model.loads[b].length; o++) {
            for (int p = 0; p < (b == c ? 1 : model.loads[c].length); p++) {
                char[] choice = runs.clone();
                choice[c] = (char) p;
                choice[b] = (char) o;
                choices.add(choice);
            }
        }
    }

    private static void addOption(long[][] sums, int i, Rows row, long[] charge, int before, int option) {
        sums[0][i] += row.memory[option];
        sums[1][i] += row.latency[option];
        sums[2][i] += row.lossAfter(before)[option];
        sums[3][i] += charge[option];
    }

    private static Part none(int n) {
        return new Part(n, new char[0], new long[SUMS][0]);
    }

    /** Compositions within the model's own limits and some memory, by ascending memory, then descending value. */
    private Candidates candidates(List<Part> parts, long room) {
        int blocks = model.loads.length;
        int total = 0;
        for (Part part : parts) {
            total += part.sums[0].length;
        }
        Frontier all = new Frontier(new long[total], new long[total], new double[total], new int[total], blocks,
                new char[total * blocks]);
        long[] value = new long[total];
        long[] cores = new long[total];
        int at = 0;
        Double least = limits.accuracy[m];
        for (Part part : parts) {
            for (int i = 0; i < part.sums[0].length; i++) {
                double accuracy = model.accuracy(part.sums[2][i]);
                if (part.sums[0][i] > room || part.sums[1][i] > limit || least != null && accuracy < least) {
                    continue;
                }
                all.memory[at] = part.sums[0][i];
                all.latency[at] = part.sums[1][i];
                all.accuracy[at] = accuracy;
                all.threads[at] = model.threadCounts[part.n];
                System.arraycopy(part.choice, i * blocks, all.choice, at * blocks, blocks);
                value[at] = model.valueOf(accuracy) - part.sums[3][i];
                cores[at] = model.cores(all.latency[at], all.threads[at], instance.slowdownFactor[m]);
                at++;
            }
        }
        int[] first = new int[at];
        for (int i = 0; i < at; i++) {
            first[i] = i;
        }
        Frontier points = all.take(first);
        value = Numbers.take(value, first);
        cores = Numbers.take(cores, first);
        int[] order = Numbers.order(points.memory, Numbers.negated(value));
        return new Candidates(Numbers.take(value, order), Numbers.take(points.memory, order),
                Numbers.take(cores, order), order, points);
    }

    /** What each block's options are charged at a thread count. */
    private long[][] charges(int n) {
        boolean reload = reload(n);
        long[][] charges = new long[model.loads.length][];
        for (int b = 0; b < charges.length; b++) {
            charges[b] = model.loads[b].clone();
            if (!reload) {
                charges[b][now.option(b)] = 0;
            }
        }
        return charges;
    }

    private boolean reload(int n) {
        return now == null || now.threads != model.threadCounts[n];
    }

    /** The compositions at one thread count that no bound puts below the floor. */
    private Part search(int n, List<Prices> prices, double floor, long room, int width, Clock clock) {
        Rows[] rows = model.rows[n];
        long restMemory = 0;
        long restLatency = 0;
        long restLoss = 0;
        for (Rows row : rows) {
            restMemory += Numbers.least(row.memory);
            restLatency += Numbers.least(row.latency);
            restLoss += Numbers.least(row.leastLoss());
        }
        List<Ceiling> ceilings = ceilings(n, prices);
        if (model.fixedMemory[n] + restMemory > room || least(ceilings) < floor) {
            return none(n);
        }
        long[][] charges = charges(n);
        Double accuracy = limits.accuracy[m];
        double lost = Double.NEGATIVE_INFINITY;
        int lines = ceilings.size();
        int size = 1;
        double[][] each = new double[lines][1];
        for (int line = 0; line < lines; line++) {
            each[line][0] = ceilings.get(line).top;
        }
        long[][] sums = {{model.fixedMemory[n]}, {model.fixedLatency[n]}, {0}, {reload(n) ? model.fixedLoad : 0}};
        int[] last = {0};
        char[] choice = {};
        for (int b = 0; b < rows.length; b++) {
            if (clock.over()) {
                return null;
            }
            Rows row = rows[b];
            int options = row.size();
            restMemory -= Numbers.least(row.memory);
            restLatency -= Numbers.least(row.latency);
            restLoss -= Numbers.least(row.leastLoss());
            int[] kept = new int[size * options];
            double[] best = new double[kept.length];
            int count = 0;
            for (int i = 0; i < kept.length; i++) {
                int before = i / options;
                int option = i % options;
                boolean keep = sums[0][before] + row.memory[option] <= room - restMemory
                        && sums[1][before] + row.latency[option] <= limit - restLatency;
                double bound = Double.POSITIVE_INFINITY;
                for (int line = 0; line < lines && keep; line++) {
                    double drop = ceilings.get(line).drops[b][row.rowAfter(last[before])][option];
                    bound = Math.min(bound, each[line][before] - drop);
                    keep = bound >= floor;
                }
                if (keep && accuracy != null) {
                    long loss = sums[2][before] + row.lossAfter(last[before])[option];
                    keep = model.accuracy(loss + restLoss) >= accuracy;
                }
                if (keep) {
                    best[count] = bound;
                    kept[count++] = i;
                }
            }
            kept = Arrays.copyOf(kept, count);
            long[][] longer = new long[SUMS][count];
            for (int i = 0; i < count; i++) {
                for (int k = 0; k < SUMS; k++) {
                    longer[k][i] = sums[k][kept[i] / options];
                }
                addOption(longer, i, row, charges[b], last[kept[i] / options], kept[i] % options);
            }
            if (count > FEW && b + 1 < rows.length) {
                int most = Math.min(width, 1 + PAIRS / rows[b + 1].size());
                int[] ranked = Numbers.order(Numbers.negated(Numbers.ordered(Arrays.copyOf(best, count))));
                if (count > 2 * most) {
                    lost = Math.max(lost, best[ranked[2 * most]]);
                    ranked = Arrays.copyOf(ranked, 2 * most);
                }
                ranked = undominated(longer, ranked, kept, rows[b + 1].loss.length == 1 ? 0 : options);
                if (ranked.length > most) {
                    lost = Math.max(lost, best[ranked[most]]);
                    ranked = Arrays.copyOf(ranked, most);
                }
                Arrays.sort(ranked);
                kept = Numbers.take(kept, ranked);
                for (int k = 0; k < SUMS; k++) {
                    longer[k] = Numbers.take(longer[k], ranked);
                }
                count = kept.length;
            }
            double[][] next = new double[lines][count];
            int[] nextLast = new int[count];
            char[] extended = new char[count * (b + 1)];
            for (int i = 0; i < count; i++) {
                int before = kept[i] / options;
                int option = kept[i] % options;
                for (int line = 0; line < lines; line++) {
                    next[line][i] = each[line][before]
                            - ceilings.get(line).drops[b][row.rowAfter(last[before])][option];
                }
                nextLast[i] = option;
                System.arraycopy(choice, before * b, extended, i * (b + 1), b);
                extended[i * (b + 1) + b] = (char) option;
            }
            each = next;
            sums = longer;
            last = nextLast;
            choice = extended;
            size = count;
        }
        Part part = new Part(n, choice, sums);
        part.lost = lost;
        return part;
    }

    /**
     * Those of the ranked partial compositions that none of the first of them undercuts in all sums; both must end in the
     * same option, where there are any `options` to be told apart.
     */
    private static int[] undominated(long[][] sums, int[] ranked, int[] kept, int options) {
        int[] found = new int[ranked.length];
        int count = 0;
        for (int i = 0; i < ranked.length; i++) {
            boolean beaten = false;
            for (int j = 0; j < Math.min(i, COMPARED) && !beaten; j++) {
                beaten = options == 0 || kept[ranked[i]] % options == kept[ranked[j]] % options;
                for (int k = 0; k < SUMS && beaten; k++) {
                    beaten = sums[k][ranked[j]] <= sums[k][ranked[i]];
                }
            }
            if (!beaten) {
                found[count++] = ranked[i];
            }
        }
        return Arrays.copyOf(found, count);
    }

    /** Bounds of what a plan with a composition at one thread count is worth; none if all are too slow. */
    private List<Ceiling> ceilings(int n, List<Prices> prices) {
        Rows[] rows = model.rows[n];
        long latency = model.fixedLatency[n];
        long least = latency;
        for (Rows row : rows) {
            least += Numbers.least(row.latency);
        }
        List<Ceiling> found = new ArrayList<>();
        if (least > limit) {
            return found;
        }
        long[][] charges = charges(n);
        List<double[]> lines = Ceiling.linesAbove(model, rows);
        for (Prices p : prices) {
            double perNs = p.cores * model.rate(instance.slowdownFactor[m]) * model.threadCounts[n];
            double constant = p.rest - p.memory * model.fixedMemory[n] - perNs * latency
                    - (reload(n) ? model.fixedLoad : 0);
            double[][] costs = new double[rows.length][];
            double off = Math.abs(constant);
            for (int b = 0; b < rows.length; b++) {
                costs[b] = new double[rows[b].size()];
                double most = 0;
                for (int o = 0; o < costs[b].length; o++) {
                    costs[b][o] = charges[b][o] + p.memory * rows[b].memory[o] + perNs * rows[b].latency[o];
                    most = Math.max(most, costs[b][o]);
                }
                off += most;
            }
            off *= Items.ROUNDING_OF_PRICED;
            for (double share : limit < Frontier.NEVER - 1 ? SHARES : new double[] {1}) {
                List<Ceiling> some = new ArrayList<>();
                for (double[] line : lines) {
                    some.add(Ceiling.of(line, rows, costs, limit - latency, share));
                }
                Collections.sort(some, new Comparator<Ceiling>() {
                    @Override
                    public int compare(Ceiling a, Ceiling b) {
                        return Double.compare(a.top, b.top);
                    }
                });
                for (Ceiling c : some.subList(0, Math.min(MOST_LINES, some.size()))) {
                    found.add(new Ceiling(c.top + constant + off, c.drops));
                }
            }
        }
        return found;
    }
}
