package org.legodnn.internal.solver;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/**
 * The optimal plan when leaving the running plan is charged: the candidates of all models, and the best plan of them.
 *
 * <p>{@link ChargedSearch} finds, for one model at a time, the compositions that can be part of a plan worth a given
 * value at given prices. This class sees all models: it finds that value and the prices, and chooses among the
 * compositions by a knapsack.
 *
 * <p>A charge adds to the value of a composition a sum over blocks that depends on what runs. The frontier of (memory,
 * latency, loss) then no longer holds every composition that may be optimal: one that keeps more blocks as they are may
 * be dominated in all three. So the search goes back to the blocks, with bounds:
 *
 * <ol>
 * <li>The points of the frontiers, with their charges, give a plan worth V, and prices p of memory and compute.
 * <li>At any prices p a composition x has the reduced value r(x) = v(x) - charge(x) - p . w(x). With U_k(p) an upper
 *     bound of r for model k, a plan that holds x is worth at most r(x) + sum_{k other} U_k(p) + p . W.
 * <li>Compositions are put together block by block; a partial one is dropped if even its best completion makes no plan
 *     worth V. Those that are left are candidates. The knapsack over them gives a better plan, so a greater V, and the
 *     next search keeps more partial compositions at a time.
 * </ol>
 */
final class ChargedOptimum {
    /**
     * The factors of the prices at which compositions are bounded as well: to one model, memory and compute may be
     * worth more or less than the prices that suit all models together.
     */
    private static final double[] OTHER_PRICES = {0.5, 2};

    private final Instance instance;
    private final Limits limits;
    private final long[] caps;
    private final Deadline deadline;
    /** By model, all candidates that are known. */
    private final Candidates[] known;
    private final ChargedSearch[] searches;
    /** By model, the candidates that the best plan was chosen from. */
    Candidates[] classes;
    /** The best plan of them. */
    Knapsack.Answer best;

    /** An upper bound of what any plan is worth, made at some prices. */
    private static final class PlanBound {
        final CompositionBound.Prices prices;
        /** By model, an upper bound of its reduced values, U_k(p). */
        final double[] tops;
        /** No plan is worth more. */
        final double total;

        PlanBound(CompositionBound.Prices prices, double[] tops, double total) {
            this.prices = prices;
            this.tops = tops;
            this.total = total;
        }

        /** The prices, with what a plan is worth at most besides the reduced value of model `m`. */
        CompositionBound.Prices withModel(int m) {
            return new CompositionBound.Prices(prices.memory, prices.cores, total - tops[m]);
        }
    }

    private ChargedOptimum(Instance instance, Limits limits, Candidates[] classes, long[] caps, Deadline deadline) {
        this.instance = instance;
        this.limits = limits;
        this.caps = caps;
        this.deadline = deadline;
        known = new Candidates[classes.length];
        searches = new ChargedSearch[classes.length];
        long spare = caps[0];
        for (Candidates one : classes) {
            spare -= Numbers.least(one.memory);
        }
        for (int m = 0; m < known.length; m++) {
            known[m] = classes[m].withValues(charged(instance, m, classes[m]));
            searches[m] = new ChargedSearch(instance, limits, m, Numbers.least(classes[m].memory) + spare, 0);
        }
    }

    /**
     * Find candidates, with their values after the charge, and the best plan of them; null if nothing fits.
     *
     * @param instance the problem, with what runs
     * @param limits the limits of the moment
     * @param classes by model, all candidates on its frontier; none is empty
     * @param caps the limit of memory, and that of compute if there is one
     * @param deadline when to stop improving
     */
    static ChargedOptimum of(Instance instance, Limits limits, Candidates[] classes, long[] caps, Deadline deadline) {
        ChargedOptimum found = new ChargedOptimum(instance, limits, classes, caps, deadline);
        if (found.solve(found.known) == null) {
            return null;
        }
        found.search();
        return found;
    }

    private Knapsack.Answer solve(Candidates[] classes) {
        return Knapsack.solve(Candidates.values(classes), Candidates.weights(classes, caps.length), caps, deadline);
    }

    private void search() {
        int n = known.length;
        for (int m = 0; m < n; m++) {
            known[m] = known[m].merged(searches[m].around(), caps.length);
        }
        best = solve(known); // with more candidates there is still a plan
        classes = known.clone();
        double bound = Double.POSITIVE_INFINITY;
        Candidates[] complete = new Candidates[n]; // where a search left nothing out that can be part of a better plan
        int left = n;
        Deadline.BeamWidths widths = deadline.new BeamWidths();
        for (int width = widths.next(); left > 0 && width > 0; width = widths.next()) {
            List<PlanBound> bounds = bounds(width);
            for (PlanBound one : bounds) {
                bound = Math.min(bound, one.total);
            }
            // What can be part of a better plan than the best one so far.
            double lost = Double.NEGATIVE_INFINITY; // bounds the plans with what was left out
            Candidates[] better = new Candidates[n];
            long floor = best.value;
            for (int m = 0; m < n; m++) {
                if (complete[m] == null) {
                    List<CompositionBound.Prices> rests = new ArrayList<>();
                    for (PlanBound one : bounds) {
                        rests.add(one.withModel(m));
                    }
                    ChargedSearch.Found found = searches[m].compositions(rests, floor, width, deadline);
                    better[m] = known[m].merged(found.candidates, caps.length);
                    lost = Math.max(lost, found.lost);
                    if (found.lost < floor) {
                        complete[m] = found.candidates.withPresent(instance, limits, m);
                        left--;
                    }
                }
                better[m] = complete[m] == null ? better[m] : complete[m];
            }
            Knapsack.Answer answer = solve(better);
            if (answer != null) {
                bound = Math.min(bound, Math.max(answer.bound, lost));
                take(better, answer);
            }
        }
        if (bound == Double.POSITIVE_INFINITY) { // there was no time for a search, but a bound there has to be
            CompositionBound.Prices prices = commonPrices();
            bound = bound(prices, tops(prices)).total;
        }
        best = new Knapsack.Answer(best.chosen, best.value, Math.max(bound, best.value));
    }

    /** Take an answer for the best plan if it is no worse. */
    private void take(Candidates[] from, Knapsack.Answer answer) {
        if (answer != null && answer.value >= best.value) {
            classes = from;
            best = answer;
        }
    }

    /**
     * Bounds at prices that suit all models, and at others. Where what is known of a model does not reach its own
     * bound, a search brings that closer, and what it finds joins the candidates.
     */
    private List<PlanBound> bounds(int width) {
        CompositionBound.Prices prices = commonPrices();
        double[] tops = tops(prices);
        for (int m = 0; m < tops.length; m++) {
            double most = known[m].highest(prices);
            double rounding = searches[m].rounding();
            if (tops[m] > most + rounding) {
                ChargedSearch.Found found =
                        searches[m].compositions(Collections.singletonList(prices), most, width, deadline);
                known[m] = known[m].merged(found.candidates, caps.length);
                tops[m] = Math.min(tops[m], Math.max(found.lost, known[m].highest(prices) + rounding));
            }
        }
        take(known.clone(), solve(known));
        List<PlanBound> bounds = new ArrayList<>();
        bounds.add(bound(prices, tops));
        for (double factor : OTHER_PRICES) {
            if (prices.memory > 0 || prices.cores > 0) {
                CompositionBound.Prices other =
                        new CompositionBound.Prices(factor * prices.memory, factor * prices.cores, 0);
                bounds.add(bound(other, tops(other)));
            }
        }
        return bounds;
    }

    /** Prices of memory and compute that suit all models; searches allow for the rounding at all prices from now on. */
    private CompositionBound.Prices commonPrices() {
        long[][][] weights = Candidates.weights(known, caps.length);
        Items items = new Items(Candidates.values(known), weights, caps);
        double[] prices = Knapsack.prices(items, weights, caps);
        double rounding = items.rounding(prices) * OTHER_PRICES[OTHER_PRICES.length - 1];
        for (int m = 0; m < searches.length; m++) {
            searches[m] = searches[m].withRounding(rounding);
        }
        return new CompositionBound.Prices(prices[0], prices.length > 1 ? prices[1] : 0, 0);
    }

    /** By model, an upper bound of its reduced values; quick, and not tight. */
    private double[] tops(CompositionBound.Prices prices) {
        double[] tops = new double[known.length];
        for (int m = 0; m < tops.length; m++) {
            tops[m] = Math.max(known[m].highest(prices), searches[m].highest(prices));
        }
        return tops;
    }

    /** The bound at some prices, given for each model an upper bound of its reduced values. */
    private PlanBound bound(CompositionBound.Prices prices, double[] tops) {
        double total = prices.memory * caps[0] + (caps.length > 1 ? prices.cores * caps[1] : 0);
        for (double top : tops) {
            total += top;
        }
        return new PlanBound(prices, tops, total + searches[0].rounding());
    }

    /** The values of a model's candidates after the charge. */
    private static long[] charged(Instance instance, int m, Candidates found) {
        CompiledModel model = instance.models[m];
        long[] value = found.value.clone();
        for (int i = 0; i < value.length; i++) {
            int point = found.source[i];
            if (point >= 0) {
                value[i] -= CompositionSums.chargeOf(model, instance.running[m], found.origin, point);
            }
        }
        return value;
    }
}
