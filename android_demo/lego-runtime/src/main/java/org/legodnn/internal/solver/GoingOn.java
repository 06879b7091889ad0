package org.legodnn.internal.solver;

import java.util.Arrays;

/** Which partial compositions go on to the next block in {@link ChargedSearch}, and what was cut for lack of width. */
final class GoingOn {
    /** No more than this many partial compositions are left as they are, without testing which are dominated. */
    private static final int FEW = 128;
    /** Dominance is tested against this many partial compositions: the most promising ones. */
    private static final int COMPARED = 256;

    /** Their indices, ascending. */
    final int[] at;
    /** The greatest bound of those that were cut; minus infinity if there are none. */
    final double cut;

    private GoingOn(int[] at, double cut) {
        this.at = at;
        this.cut = cut;
    }

    /**
     * The most promising ones, unless there are few anyway.
     *
     * @param best the least bound of each
     * @param sums by kind of sum and partial composition
     * @param ends the option in which each ends, if the next block interacts with it; else null
     * @param width how many go on at most
     */
    static GoingOn of(double[] best, long[][] sums, int[] ends, int width) {
        int[] ranked = Numbers.order(Numbers.negated(Numbers.ordered(best)));
        double cut = Double.NEGATIVE_INFINITY;
        if (best.length > FEW) {
            if (ranked.length > 2 * width) {
                cut = best[ranked[2 * width]];
                ranked = Arrays.copyOf(ranked, 2 * width);
            }
            ranked = undominated(sums, ranked, ends);
            if (ranked.length > width) {
                cut = Math.max(cut, best[ranked[width]]);
                ranked = Arrays.copyOf(ranked, width);
            }
        }
        Arrays.sort(ranked);
        return new GoingOn(ranked, cut);
    }

    /**
     * The ranked partial compositions that none of the first before them equals or undercuts in all sums.
     *
     * @param sums by kind of sum and partial composition
     * @param ranked partial compositions, by descending bound
     * @param ends the option in which each ends, if only compositions that end in the same one are to be compared; else
     *     null
     */
    private static int[] undominated(long[][] sums, int[] ranked, int[] ends) {
        int[] found = new int[ranked.length];
        int count = 0;
        for (int i = 0; i < ranked.length; i++) {
            boolean beaten = false;
            for (int j = 0; j < Math.min(i, COMPARED) && !beaten; j++) {
                beaten = ends == null || ends[ranked[i]] == ends[ranked[j]];
                for (int k = 0; k < sums.length && beaten; k++) {
                    beaten = sums[k][ranked[j]] <= sums[k][ranked[i]];
                }
            }
            if (!beaten) {
                found[count++] = ranked[i];
            }
        }
        return Arrays.copyOf(found, count);
    }
}
