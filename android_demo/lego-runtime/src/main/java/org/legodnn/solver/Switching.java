package org.legodnn.solver;

import java.util.Arrays;

/**
 * Candidates when leaving the running plan is charged.
 *
 * <p>A charge adds, to what a composition is worth, a sum over blocks that depends on what runs; the frontier of
 * (memory, latency, loss) then no longer holds every composition that may be optimal: one that keeps more blocks as
 * they are may be dominated in all three. So the search goes back to the blocks, with bounds:
 *
 * <ol>
 * <li>The frontier's points, charged as they must be, give a plan worth V and prices p of memory and compute.
 * <li>At these prices a composition x has the reduced value r(x) = v(x) - charge(x) - p . w(x). With U_m the greatest
 *     r of model m, a plan worth at least V has no composition below U_m - (sum U + p . W - V); see {@link Knapsack}.
 * <li>All compositions with r above a floor are enumerated block by block ({@link ChargedSearch}). U_m is found by the
 *     same search, from the best r known.
 * </ol>
 */
final class Switching {
    private Switching() {}

    /**
     * Candidates, among them those of every optimal plan, worth what they are after the charge; null if nothing fits.
     *
     * @param classes all candidates on the models' frontiers, none of them empty
     * @param caps the limit of memory, and that of compute if there is one
     */
    static Candidates[] chargedClasses(Instance instance, Limits limits, Candidates[] classes, long[] caps) {
        int n = classes.length;
        long[][] values = new long[n][];
        for (int m = 0; m < n; m++) {
            values[m] = charged(instance, m, classes[m]);
        }
        long[][][] weights = Candidates.weights(classes, caps.length);
        int[] chosen = Knapsack.solve(values, weights, caps);
        if (chosen == null) {
            return null;
        }
        Items items = new Items(values, weights, caps);
        double[] found = Knapsack.prices(items, values, weights, caps);
        double rounding = items.rounding(found);
        double[] prices = Arrays.copyOf(found, 2);
        long worth = 0;
        ChargedSearch[] searches = new ChargedSearch[n];
        double[] tops = new double[n];
        double margin = 0;
        for (int m = 0; m < n; m++) {
            worth += values[m][chosen[m]];
            double known = Double.NEGATIVE_INFINITY;
            for (int k = 0; k < values[m].length; k++) {
                double priced = 0;
                for (int i = 0; i < caps.length; i++) {
                    priced += prices[i] * weights[i][m][k];
                }
                known = Math.max(known, values[m][k] - priced);
            }
            searches[m] = new ChargedSearch(instance, limits, m, prices, rounding);
            tops[m] = Math.max(known, searches[m].above(known).most());
            margin += tops[m];
        }
        double priced = 0;
        for (int i = 0; i < caps.length; i++) {
            priced += prices[i] * caps[i];
        }
        margin = margin + priced - worth + rounding;
        Candidates[] candidates = new Candidates[n];
        for (int m = 0; m < n; m++) {
            candidates[m] = searches[m].above(tops[m] - margin).candidates();
        }
        return candidates;
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
