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
    /** No more than this many partial compositions are left as they are, without testing which are dominated. */
    private static final int FEW = 128;
    /** Dominance is tested against this many partial compositions: the most promising ones. */
    private static final int COMPARED = 256;
    /** If all blocks together have more options than this, no two of them are changed at a time. */
    private static final int MOST_CHANGED = 200;
    /** The greatest number of pairs, of a partial composition and an option, that are formed at a time. */
    private static final int PAIRS = 1 << 18;
    /** How many sums a composition has: memory, latency, loss, charge. */
    private static final int SUMS = 4;

    private final Instance instance;
    private final Limits limits;
    private final int m;
    /** The greatest rounding error of reduced values. */
    private final double rounding;
    private final CompiledModel model;
    private final CompositionSums now;
    /** By the index of a thread count, the greatest profiled latency. */
    private final long[] latencyLimits;

    ChargedSearch(Instance instance, Limits limits, int m, double rounding) {
        this.instance = instance;
        this.limits = limits;
        this.m = m;
        this.rounding = rounding;
        this.model = instance.models[m];
        this.now = instance.running[m];
        this.latencyLimits = limits.latencyLimits(instance, m);
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
        double lost = Double.NEGATIVE_INFINITY;

        Part(int n, char[] choice, long[][] sums) {
            this.n = n;
            this.choice = choice;
            this.sums = sums;
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
     * @param room bytes that the model may take
     * @param width how many partial compositions go on to the next block, at most
     * @param deadline when to end the search
     */
    Found compositions(List<CompositionBound.Prices> prices, double floor, long room, int width, Deadline deadline) {
        List<Part> parts = new ArrayList<>();
        double lost = deadline.passed() ? Double.POSITIVE_INFINITY : Double.NEGATIVE_INFINITY;
        for (int n = 0; n < model.threadCounts.length; n++) {
            Part part = deadline.passed() ? none(n) : search(n, prices, floor - slack(), room, width, deadline);
            if (part == null) {
                part = none(n);
                lost = Double.POSITIVE_INFINITY;
            }
            parts.add(part);
            lost = Math.max(lost, part.lost + slack());
        }
        return new Found(candidates(parts, room), lost);
    }

    /** What runs, and that with one option or two changed, within the model's limits and `room` bytes. */
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
        return candidates(Collections.singletonList(new Part(n, joined, sums)), room);
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

    private static Part none(int n) {
        return new Part(n, new char[0], new long[SUMS][0]);
    }

    /** The compositions within the model's limits and `room` bytes, by ascending memory, then descending value. */
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
        Double least = limits.leastAccuracy(instance, m);
        for (Part part : parts) {
            for (int i = 0; i < part.sums[0].length; i++) {
                double accuracy = model.accuracy(part.sums[2][i]);
                if (part.sums[0][i] > room || part.sums[1][i] > latencyLimits[part.n]
                        || least != null && accuracy < least) {
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

    /** The compositions at one thread count that no bound puts below the floor; null if the deadline passes. */
    private Part search(
            int n, List<CompositionBound.Prices> prices, double floor, long room, int width, Deadline deadline) {
        BlockFigures[] rows = model.rows[n];
        long restMemory = 0;
        long restLatency = 0;
        long restLoss = 0;
        for (BlockFigures row : rows) {
            restMemory += Numbers.least(row.memory);
            restLatency += Numbers.least(row.latency);
            restLoss += Numbers.least(row.leastLoss());
        }
        List<CompositionBound> bounds = bounds(n, prices);
        if (model.fixedMemory[n] + restMemory > room || least(bounds) < floor) {
            return none(n);
        }
        long[][] charges = CompositionSums.chargesAt(model, now, n);
        Double accuracy = limits.leastAccuracy(instance, m);
        double lost = Double.NEGATIVE_INFINITY;
        int lines = bounds.size();
        int size = 1;
        double[][] each = new double[lines][1];
        for (int line = 0; line < lines; line++) {
            each[line][0] = bounds.get(line).top;
        }
        long fixedCharge = CompositionSums.fixedChargeAt(model, now, n);
        long[][] sums = {{model.fixedMemory[n]}, {model.fixedLatency[n]}, {0}, {fixedCharge}};
        int[] last = {0};
        char[] choice = {};
        for (int b = 0; b < rows.length; b++) {
            if (deadline.passed()) {
                return null;
            }
            BlockFigures row = rows[b];
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
                        && sums[1][before] + row.latency[option] <= latencyLimits[n] - restLatency;
                double bound = Double.POSITIVE_INFINITY;
                for (int line = 0; line < lines && keep; line++) {
                    double drop = bounds.get(line).drops[b][row.rowAfter(last[before])][option];
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
                            - bounds.get(line).drops[b][row.rowAfter(last[before])][option];
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
     * The ranked partial compositions that none of the first before them equals or undercuts in all sums.
     *
     * @param sums by kind of sum and partial composition
     * @param ranked partial compositions, by descending bound
     * @param kept of each partial composition, its number: composition before x options + option
     * @param options the number of options, if only compositions that end in the same one are to be compared; else 0
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

    private List<CompositionBound> bounds(int n, List<CompositionBound.Prices> prices) {
        List<CompositionBound> found = new ArrayList<>();
        for (CompositionBound.Prices p : prices) {
            found.addAll(CompositionBound.boundsAt(instance, limits, m, n, p));
        }
        return found;
    }
}
