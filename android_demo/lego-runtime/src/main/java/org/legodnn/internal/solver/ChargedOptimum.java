package org.legodnn.internal.solver;

import java.util.ArrayList;
import java.util.Arrays;
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
    /** By model, the candidates that the best plan was chosen from. */
    Candidates[] classes;
    /** The best plan of them. */
    Knapsack.Answer best;

    private ChargedOptimum(Instance instance, Limits limits, Candidates[] known, long[] caps, Deadline deadline) {
        this.instance = instance;
        this.limits = limits;
        this.caps = caps;
        this.deadline = deadline;
        this.known = known;
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
        Candidates[] known = new Candidates[classes.length];
        for (int m = 0; m < known.length; m++) {
            known[m] = classes[m].withValues(charged(instance, m, classes[m]));
        }
        ChargedOptimum found = new ChargedOptimum(instance, limits, known, caps, deadline);
        if (found.solve(known) == null) {
            return null;
        }
        found.search(classes);
        return found;
    }

    private Knapsack.Answer solve(Candidates[] classes) {
        return Knapsack.solve(Candidates.values(classes), Candidates.weights(classes, caps.length), caps, deadline);
    }

    private void search(Candidates[] onFrontiers) {
        int n = known.length;
        long[] rooms = new long[n];
        long spare = caps[0];
        for (int m = 0; m < n; m++) {
            rooms[m] = Numbers.least(onFrontiers[m].memory);
            spare -= rooms[m];
        }
        for (int m = 0; m < n; m++) {
            rooms[m] += spare;
            known[m] = known[m].merged(new ChargedSearch(instance, limits, m, 0).around(rooms[m]), caps.length);
        }
        best = solve(known);
        classes = known.clone();
        double bound = Double.POSITIVE_INFINITY;
        Candidates[] complete = new Candidates[n];
        int left = n;
        Deadline.BeamWidths widths = deadline.new BeamWidths();
        while (left > 0) {
            int width = widths.next();
            if (width == 0 && bound < Double.POSITIVE_INFINITY) {
                break;
            }
            long[][] values = Candidates.values(known);
            long[][][] weights = Candidates.weights(known, caps.length);
            Items items = new Items(values, weights, caps);
            double[] prices = Arrays.copyOf(Knapsack.prices(items, weights, caps), 2);
            double rounding = items.rounding(Arrays.copyOf(prices, caps.length));
            rounding *= OTHER_PRICES[OTHER_PRICES.length - 1];
            ChargedSearch[] searches = new ChargedSearch[n];
            for (int m = 0; m < n; m++) {
                searches[m] = new ChargedSearch(instance, limits, m, rounding);
            }
            // Upper bounds of the reduced values. Where one is not reached yet, a search brings it closer, and what it
            // finds joins the candidates.
            List<CompositionBound.Prices> at = new ArrayList<>();
            List<double[]> tops = new ArrayList<>();
            at.add(new CompositionBound.Prices(prices[0], prices[1], 0));
            tops.add(tops(at.get(0), searches));
            if (width == 0) {
                bound = bound(at.get(0), tops.get(0)) + rounding;
                break;
            }
            for (int m = 0; m < n; m++) {
                double most = known[m].highest(prices);
                if (tops.get(0)[m] > most + rounding) {
                    ChargedSearch.Found found =
                            searches[m].compositions(at.subList(0, 1), most, rooms[m], width, deadline);
                    known[m] = known[m].merged(found.candidates, caps.length);
                    double top = Math.max(found.lost, known[m].highest(prices) + rounding);
                    tops.get(0)[m] = Math.min(tops.get(0)[m], top);
                }
            }
            take(known.clone(), solve(known));
            for (double factor : OTHER_PRICES) {
                if (prices[0] > 0 || prices[1] > 0) {
                    at.add(new CompositionBound.Prices(factor * prices[0], factor * prices[1], 0));
                    tops.add(tops(at.get(at.size() - 1), searches));
                }
            }
            double[] totals = new double[at.size()];
            for (int i = 0; i < totals.length; i++) {
                totals[i] = bound(at.get(i), tops.get(i)) + rounding;
                bound = Math.min(bound, totals[i]);
            }
            // The compositions that can be part of a better plan than the best one so far.
            double lost = Double.NEGATIVE_INFINITY;
            Candidates[] more = new Candidates[n];
            long floor = best.value;
            for (int m = 0; m < n; m++) {
                if (complete[m] == null) {
                    List<CompositionBound.Prices> rests = new ArrayList<>();
                    for (int i = 0; i < totals.length; i++) {
                        rests.add(new CompositionBound.Prices(at.get(i).memory, at.get(i).cores,
                                totals[i] - tops.get(i)[m]));
                    }
                    ChargedSearch.Found found = searches[m].compositions(rests, floor, rooms[m], width, deadline);
                    more[m] = known[m].merged(found.candidates, caps.length);
                    lost = Math.max(lost, found.lost);
                    if (found.lost < floor) {
                        complete[m] = found.candidates.withPresent(instance, limits, m);
                        left--;
                    }
                }
                more[m] = complete[m] == null ? more[m] : complete[m];
            }
            Knapsack.Answer answer = solve(more);
            if (answer != null) {
                bound = Math.min(bound, Math.max(answer.bound, lost));
                take(more, answer);
            }
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

    /** By model, an upper bound of its reduced values. */
    private double[] tops(CompositionBound.Prices prices, ChargedSearch[] searches) {
        double[] tops = new double[known.length];
        for (int m = 0; m < tops.length; m++) {
            double known = this.known[m].highest(new double[] {prices.memory, prices.cores});
            tops[m] = Math.max(known, searches[m].highest(prices));
        }
        return tops;
    }

    /** An upper bound of all plans, given for each model an upper bound of its reduced values. */
    private double bound(CompositionBound.Prices prices, double[] tops) {
        double bound = prices.memory * caps[0] + (caps.length > 1 ? prices.cores * caps[1] : 0);
        for (double top : tops) {
            bound += top;
        }
        return bound;
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
