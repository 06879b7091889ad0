package org.legodnn.solver;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Candidates when leaving the running plan is charged.
 *
 * <p>A charge adds, to what a composition is worth, a sum over blocks that depends on what runs; the frontier of
 * (memory, latency, loss) then no longer holds every composition that may be optimal: one that keeps more blocks as
 * they are may be dominated in all three. So the search goes back to the blocks, with bounds:
 *
 * <ol>
 * <li>The frontier's points, charged as they must be, give a plan worth V and prices p of memory and compute.
 * <li>At any prices p a composition x has the reduced value r(x) = v(x) - charge(x) - p . w(x). With U_k(p) no less than
 *     the greatest r of model k, a plan with x in it is worth at most r(x) + sum_{k other} U_k(p) + p . W.
 * <li>Compositions are put together block by block ({@link ChargedSearch}); a partial one is dropped when even its best
 *     completion makes no plan worth V. Those that are left are candidates: the knapsack over them gives a better plan,
 *     so a greater V, and the next search may look at more at a time.
 * </ol>
 */
final class Switching {
    /** What memory and compute are worth to a model may be more or less than what suits all models together. */
    private static final double[] OTHER_PRICES = {0.5, 2};

    private final Instance instance;
    private final Limits limits;
    private final long[] caps;
    private final Clock clock;
    /** All candidates known. */
    private final Candidates[] known;
    /** Those of which the best plan was made. */
    Candidates[] chosen;
    Knapsack.Answer best;

    private Switching(Instance instance, Limits limits, Candidates[] known, long[] caps, Clock clock) {
        this.instance = instance;
        this.limits = limits;
        this.caps = caps;
        this.clock = clock;
        this.known = known;
    }

    /**
     * Candidates, worth what they are after the charge, and the best plan of theirs; null if nothing fits.
     *
     * @param classes all candidates on the models' frontiers, none of them empty
     * @param caps the limit of memory, and that of compute if there is one
     * @param clock when to stop improving
     */
    static Switching of(Instance instance, Limits limits, Candidates[] classes, long[] caps, Clock clock) {
        Candidates[] known = new Candidates[classes.length];
        for (int m = 0; m < known.length; m++) {
            known[m] = classes[m].worth(charged(instance, m, classes[m]));
        }
        Switching found = new Switching(instance, limits, known, caps, clock);
        if (found.solve(known) == null) {
            return null;
        }
        found.search(classes);
        return found;
    }

    private Knapsack.Answer solve(Candidates[] classes) {
        return Knapsack.solve(Candidates.values(classes), Candidates.weights(classes, caps.length), caps, clock);
    }

    private void search(Candidates[] classes) {
        int n = known.length;
        long[] rooms = new long[n];
        long spare = caps[0];
        for (int m = 0; m < n; m++) {
            rooms[m] = Numbers.least(classes[m].memory);
            spare -= rooms[m];
        }
        for (int m = 0; m < n; m++) {
            rooms[m] += spare;
            known[m] = known[m].with(new ChargedSearch(instance, limits, m, 0).around(rooms[m]), caps.length);
        }
        best = solve(known);
        chosen = known.clone();
        double bound = Double.POSITIVE_INFINITY;
        Candidates[] whole = new Candidates[n];
        int left = n;
        Clock.Widening widening = clock.new Widening();
        while (left > 0) {
            int width = widening.next();
            if (width == 0 && bound < Double.POSITIVE_INFINITY) {
                break;
            }
            long[][] values = Candidates.values(known);
            long[][][] weights = Candidates.weights(known, caps.length);
            Items items = new Items(values, weights, caps);
            double[] prices = Arrays.copyOf(Knapsack.prices(items, values, weights, caps), 2);
            double rounding = items.rounding(Arrays.copyOf(prices, caps.length)) * OTHER_PRICES[OTHER_PRICES.length - 1];
            ChargedSearch[] searches = new ChargedSearch[n];
            for (int m = 0; m < n; m++) {
                searches[m] = new ChargedSearch(instance, limits, m, rounding);
            }
            // The greatest reduced values, and what is found on the way to them.
            List<ChargedSearch.Prices> at = new ArrayList<>();
            List<double[]> tops = new ArrayList<>();
            at.add(new ChargedSearch.Prices(prices[0], prices[1], 0));
            tops.add(tops(at.get(0), searches));
            if (width == 0) {
                bound = bound(at.get(0), tops.get(0)) + rounding;
                break;
            }
            for (int m = 0; m < n; m++) {
                double most = known[m].most(prices);
                if (tops.get(0)[m] > most + rounding) {
                    ChargedSearch.Found found =
                            searches[m].compositions(at.subList(0, 1), most, rooms[m], width, clock);
                    known[m] = known[m].with(found.candidates, caps.length);
                    double top = Math.max(found.lost, known[m].most(prices) + rounding);
                    tops.get(0)[m] = Math.min(tops.get(0)[m], top);
                }
            }
            take(known.clone(), solve(known));
            for (double factor : OTHER_PRICES) {
                if (prices[0] > 0 || prices[1] > 0) {
                    at.add(new ChargedSearch.Prices(factor * prices[0], factor * prices[1], 0));
                    tops.add(tops(at.get(at.size() - 1), searches));
                }
            }
            double[] totals = new double[at.size()];
            for (int i = 0; i < totals.length; i++) {
                totals[i] = bound(at.get(i), tops.get(i)) + rounding;
                bound = Math.min(bound, totals[i]);
            }
            // All that can be part of a better plan.
            double lost = Double.NEGATIVE_INFINITY;
            Candidates[] more = new Candidates[n];
            long floor = best.value;
            for (int m = 0; m < n; m++) {
                if (whole[m] == null) {
                    List<ChargedSearch.Prices> rests = new ArrayList<>();
                    for (int i = 0; i < totals.length; i++) {
                        rests.add(new ChargedSearch.Prices(at.get(i).memory, at.get(i).cores,
                                totals[i] - tops.get(i)[m]));
                    }
                    ChargedSearch.Found found = searches[m].compositions(rests, floor, rooms[m], width, clock);
                    more[m] = known[m].with(found.candidates, caps.length);
                    lost = Math.max(lost, found.lost);
                    if (found.lost < floor) {
                        whole[m] = found.candidates.withPresent(instance, limits, m);
                        left--;
                    }
                }
                more[m] = whole[m] == null ? more[m] : whole[m];
            }
            Knapsack.Answer answer = solve(more);
            if (answer != null) {
                bound = Math.min(bound, Math.max(answer.bound, lost));
                take(more, answer);
            }
        }
        best = new Knapsack.Answer(best.chosen, best.value, Math.max(bound, best.value));
    }

    private void take(Candidates[] classes, Knapsack.Answer answer) {
        if (answer != null && answer.value >= best.value) {
            chosen = classes;
            best = answer;
        }
    }

    /** By model, no less than its greatest reduced value. */
    private double[] tops(ChargedSearch.Prices prices, ChargedSearch[] searches) {
        double[] tops = new double[known.length];
        for (int m = 0; m < tops.length; m++) {
            tops[m] = Math.max(known[m].most(new double[] {prices.memory, prices.cores}), searches[m].highest(prices));
        }
        return tops;
    }

    /** What a plan is worth at most, given each model's greatest reduced value. */
    private double bound(ChargedSearch.Prices prices, double[] tops) {
        double bound = prices.memory * caps[0] + (caps.length > 1 ? prices.cores * caps[1] : 0);
        for (double top : tops) {
            bound += top;
        }
        return bound;
    }

    /** What a model's candidates are worth after the charge. */
    private static long[] charged(Instance instance, int m, Candidates found) {
        CompiledModel model = instance.models[m];
        long[] value = found.value.clone();
        for (int i = 0; i < value.length; i++) {
            int point = found.source[i];
            if (point >= 0) {
                value[i] -= model.chargeOf(
                        instance.running[m], found.origin.choice, point, found.origin.threads[point]);
            }
        }
        return value;
    }
}
