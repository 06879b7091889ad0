package org.legodnn.internal.solver;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;

/**
 * The search among the compositions of one model, for those that can be part of a plan of at least a given value.
 *
 * <p>{@link ChargedOptimum} runs such a search for each model, with prices and a value that it finds from all models
 * together; the knapsack over what the searches return is the plan. This class sees one model only.
 *
 * <p>A plan that holds composition x is worth at most r(x) + rest at any prices p of memory and compute. Here r(x) =
 * v(x) - charge(x) - p . w(x) is the reduced value of x, and `rest` is what the limits and the other models add.
 * Compositions are put together block by block. A partial one is dropped if even its best completion is not worth
 * enough, which is known from bounds ({@link CompositionBound}). No more than `width` partial compositions go on to the
 * next block: those of the greatest bounds.
 */
final class ChargedSearch {
    /** If all blocks together have more options than this, no two of them are changed at a time. */
    private static final int MOST_CHANGED = 200;
    /** The greatest number of pairs, of a partial composition and an option, that are formed at a time. */
    private static final int PAIRS = 1 << 18;
    /** How many sums a composition has: memory, latency, loss, charge. */
    private static final int SUMS = 4;

    private final Instance instance;
    private final Limits limits;
    private final int m;
    /** Bytes that the model may take. */
    private final long room;
    /** The greatest rounding error of reduced values. */
    private final double rounding;
    private final CompiledModel model;
    private final CompositionSums now;
    /** By the index of a thread count, the greatest profiled latency. */
    private final long[] latencyLimits;
    /** Null for none. */
    private final Double leastAccuracy;

    ChargedSearch(Instance instance, Limits limits, int m, long room, double rounding) {
        this.instance = instance;
        this.limits = limits;
        this.m = m;
        this.room = room;
        this.rounding = rounding;
        this.model = instance.models[m];
        this.now = instance.running[m];
        this.latencyLimits = limits.latencyLimits(instance, m);
        this.leastAccuracy = limits.leastAccuracy(instance, m);
    }

    /** The same search where reduced values are rounded by so much at most. */
    ChargedSearch withRounding(double other) {
        return new ChargedSearch(instance, limits, m, room, other);
    }

    double rounding() {
        return rounding;
    }

    /** What a search found. */
    static final class Found {
        /** Compositions by ascending memory, then descending value, with their values after the charge. */
        final Candidates candidates;
        /**
         * An upper bound of the plans with a composition that was left out for lack of width or time; minus infinity if
         * there are none.
         */
        final double lost;

        Found(Candidates candidates, double lost) {
            this.candidates = candidates;
            this.lost = lost;
        }
    }

    /** Compositions at one thread count. */
    private static final class Part {
        /** The index of the thread count. */
        final int n;
        /** The index of each block's option, those of one composition after those of another. */
        final char[] choice;
        /** By kind of sum and composition. */
        final long[][] sums;
        /** See {@link Found#lost}. */
        final double lost;

        Part(int n, char[] choice, long[][] sums, double lost) {
            this.n = n;
            this.choice = choice;
            this.sums = sums;
            this.lost = lost;
        }
    }

    /** What is added to bounds: the rounding of values to a step, and that of reduced values. */
    private double slack() {
        return model.scale.step + rounding;
    }

    /** An upper bound of the reduced values at prices of memory and compute; quick, and not tight. */
    double highest(CompositionBound.Prices prices) {
        double most = Double.NEGATIVE_INFINITY;
        for (int n = 0; n < model.threadCounts.length; n++) {
            most = Math.max(most, least(bounds(n, Collections.singletonList(prices))));
        }
        return most + slack();
    }

    private static double least(List<CompositionBound> bounds) {
        double least = bounds.isEmpty() ? Double.NEGATIVE_INFINITY : Double.POSITIVE_INFINITY;
        for (CompositionBound ceiling : bounds) {
            least = Math.min(least, ceiling.top);
        }
        return least;
    }

    /**
     * Compositions within the model's own limits that may be part of a plan whose value reaches a floor.
     *
     * @param prices prices to bound compositions at; a composition must reach the floor at all of them
     * @param floor plans of less value are of no use
     * @param width how many partial compositions go on to the next block, at most
     * @param deadline when to end the search
     */
    Found compositions(List<CompositionBound.Prices> prices, double floor, int width, Deadline deadline) {
        boolean late = deadline.passed();
        double lost = late ? Double.POSITIVE_INFINITY : Double.NEGATIVE_INFINITY;
        List<Part> parts = new ArrayList<>();
        for (int n = 0; n < model.threadCounts.length; n++) {
            Part part = late ? none(n, lost) : search(n, prices, floor - slack(), width, deadline);
            parts.add(part);
            lost = Math.max(lost, part.lost + slack());
        }
        return new Found(candidates(parts), lost);
    }

    /** What runs, and that with one option or two changed, within the model's limits. */
    Candidates around() {
        if (now == null) {
            return candidates(Collections.singletonList(none(0, Double.NEGATIVE_INFINITY)));
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
        long[][] charges = CompositionSums.chargesAt(model, now, n);
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
        return candidates(Collections.singletonList(new Part(n, joined, sums, Double.NEGATIVE_INFINITY)));
    }

    /** Add what runs with blocks b and c, which may be the same one, changed to every choice of options. */
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

    private static void addOption(long[][] sums, int i, BlockFigures row, long[] charge, int before, int option) {
        sums[0][i] += row.memory[option];
        sums[1][i] += row.latency[option];
        sums[2][i] += row.lossAfter(before)[option];
        sums[3][i] += charge[option];
    }

    private static Part none(int n, double lost) {
        return new Part(n, new char[0], new long[SUMS][0], lost);
    }

    /** The compositions within the model's limits and its room, by ascending memory, then descending value. */
    private Candidates candidates(List<Part> parts) {
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
        for (Part part : parts) {
            for (int i = 0; i < part.sums[0].length; i++) {
                double accuracy = model.accuracy(part.sums[2][i]);
                if (part.sums[0][i] > room || part.sums[1][i] > latencyLimits[part.n]
                        || leastAccuracy != null && accuracy < leastAccuracy) {
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

    /**
     * The compositions at one thread count that no bound puts below the floor; none if the deadline passes, and then a
     * bound of all.
     */
    private Part search(int n, List<CompositionBound.Prices> prices, double floor, int width, Deadline deadline) {
        BlockFigures[] rows = model.rows[n];
        long[][] ahead = ahead(rows);
        List<CompositionBound> bounds = bounds(n, prices);
        if (model.fixedMemory[n] + ahead[0][0] > room || least(bounds) < floor) {
            return none(n, Double.NEGATIVE_INFINITY);
        }
        long[][] charges = CompositionSums.chargesAt(model, now, n);
        int lines = bounds.size();
        // Partial compositions: every bound of each, by bound; its sums, by kind; its options so far, and the last one.
        double[][] each = new double[lines][1];
        for (int line = 0; line < lines; line++) {
            each[line][0] = bounds.get(line).top;
        }
        long fixedCharge = CompositionSums.fixedChargeAt(model, now, n);
        long[][] sums = {{model.fixedMemory[n]}, {model.fixedLatency[n]}, {0}, {fixedCharge}};
        int[] last = {0};
        char[] choice = {};
        double lost = Double.NEGATIVE_INFINITY;
        for (int b = 0; b < rows.length; b++) {
            if (deadline.passed()) {
                return none(n, Math.max(lost, greatestOfLeast(each)));
            }
            BlockFigures row = rows[b];
            int options = row.size();
            int[] kept = new int[last.length * options];
            double[] best = new double[kept.length];
            int count = 0;
            for (int i = 0; i < kept.length; i++) {
                int before = i / options;
                int option = i % options;
                double bound = Double.POSITIVE_INFINITY;
                for (int line = 0; line < lines && bound >= floor; line++) {
                    double drop = bounds.get(line).drops[b][row.rowAfter(last[before])][option];
                    bound = Math.min(bound, each[line][before] - drop);
                }
                if (bound >= floor && canBeWithin(n, sums[0][before] + row.memory[option],
                        sums[1][before] + row.latency[option],
                        sums[2][before] + row.lossAfter(last[before])[option], ahead[b + 1])) {
                    best[count] = bound;
                    kept[count++] = i;
                }
            }
            kept = Arrays.copyOf(kept, count);
            long[][] longer = new long[SUMS][count];
            int[] ends = new int[count];
            for (int i = 0; i < count; i++) {
                for (int k = 0; k < SUMS; k++) {
                    longer[k][i] = sums[k][kept[i] / options];
                }
                ends[i] = kept[i] % options;
                addOption(longer, i, row, charges[b], last[kept[i] / options], ends[i]);
            }
            if (b + 1 < rows.length) {
                int most = Math.min(width, 1 + PAIRS / rows[b + 1].size());
                GoingOn on = GoingOn.of(
                        Arrays.copyOf(best, count), longer, rows[b + 1].loss.length == 1 ? null : ends, most);
                lost = Math.max(lost, on.cut);
                kept = Numbers.take(kept, on.at);
                ends = Numbers.take(ends, on.at);
                longer = Numbers.takeOfEach(longer, on.at);
            }
            double[][] next = new double[lines][kept.length];
            char[] extended = new char[kept.length * (b + 1)];
            for (int i = 0; i < kept.length; i++) {
                int before = kept[i] / options;
                for (int line = 0; line < lines; line++) {
                    next[line][i] = each[line][before]
                            - bounds.get(line).drops[b][row.rowAfter(last[before])][ends[i]];
                }
                System.arraycopy(choice, before * b, extended, i * (b + 1), b);
                extended[i * (b + 1) + b] = (char) ends[i];
            }
            each = next;
            sums = longer;
            last = ends;
            choice = extended;
        }
        return new Part(n, choice, sums, lost);
    }

    /** By block, the least memory, latency and loss that it and those after it add; 0 after the last one. */
    private static long[][] ahead(BlockFigures[] rows) {
        long[][] ahead = new long[rows.length + 1][SUMS - 1];
        for (int b = rows.length - 1; b >= 0; b--) {
            ahead[b][0] = ahead[b + 1][0] + Numbers.least(rows[b].memory);
            ahead[b][1] = ahead[b + 1][1] + Numbers.least(rows[b].latency);
            ahead[b][2] = ahead[b + 1][2] + Numbers.least(rows[b].leastLoss());
        }
        return ahead;
    }

    /** Whether a partial composition is within the model's limits if the other blocks add as little as they can. */
    private boolean canBeWithin(int n, long memory, long latency, long loss, long[] ahead) {
        return memory <= room - ahead[0] && latency <= latencyLimits[n] - ahead[1]
                && (leastAccuracy == null || model.accuracy(loss + ahead[2]) >= leastAccuracy);
    }

    /** The greatest, over partial compositions, of the least of their bounds; minus infinity of none. */
    private static double greatestOfLeast(double[][] each) {
        double greatest = Double.NEGATIVE_INFINITY;
        for (int i = 0; i < each[0].length; i++) {
            double least = Double.POSITIVE_INFINITY;
            for (double[] line : each) {
                least = Math.min(least, line[i]);
            }
            greatest = Math.max(greatest, least);
        }
        return greatest;
    }

    private List<CompositionBound> bounds(int n, List<CompositionBound.Prices> prices) {
        List<CompositionBound> found = new ArrayList<>();
        for (CompositionBound.Prices p : prices) {
            found.addAll(CompositionBound.boundsAt(instance, limits, m, n, p));
        }
        return found;
    }
}
