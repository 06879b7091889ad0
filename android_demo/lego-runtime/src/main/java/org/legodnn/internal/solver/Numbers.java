package org.legodnn.internal.solver;

/** Sums, extremes, selections and orders of primitive arrays. */
public final class Numbers {
    private Numbers() {}

    /** The exact sum of doubles, rounded once, so that it does not depend on their order (Shewchuk 1997). */
    public static double exactSum(double... values) {
        double[] parts = new double[values.length + 1]; // non-overlapping, ascending in size
        int count = 0;
        for (double value : values) {
            double x = value;
            int kept = 0;
            for (int i = 0; i < count; i++) {
                double y = parts[i];
                if (Math.abs(x) < Math.abs(y)) {
                    double swap = x;
                    x = y;
                    y = swap;
                }
                double high = x + y;
                double low = y - (high - x);
                if (low != 0) {
                    parts[kept++] = low;
                }
                x = high;
            }
            parts[kept++] = x;
            count = kept;
        }
        if (count == 0) {
            return 0;
        }
        double high = parts[--count];
        double low = 0;
        while (count > 0) {
            double x = high;
            double y = parts[--count];
            high = x + y;
            low = y - (high - x);
            if (low != 0) {
                break;
            }
        }
        // The sum lies half way between two doubles; what is left over decides.
        if (count > 0 && (low < 0 && parts[count - 1] < 0 || low > 0 && parts[count - 1] > 0)) {
            double twice = low * 2;
            double other = high + twice;
            if (twice == other - high) {
                high = other;
            }
        }
        return high;
    }

    static long least(long[] values) {
        long least = values[0];
        for (long value : values) {
            least = Math.min(least, value);
        }
        return least;
    }

    /** Infinity of none. */
    static double least(double[] values) {
        double least = Double.POSITIVE_INFINITY;
        for (double value : values) {
            least = Math.min(least, value);
        }
        return least;
    }

    static long sum(int[] values) {
        long sum = 0;
        for (int value : values) {
            sum += value;
        }
        return sum;
    }

    static long greatest(long[] values) {
        long greatest = values[0];
        for (long value : values) {
            greatest = Math.max(greatest, value);
        }
        return greatest;
    }

    /** The first index of the greatest value. */
    static int firstGreatest(long[] values) {
        int at = 0;
        for (int i = 1; i < values.length; i++) {
            if (values[i] > values[at]) {
                at = i;
            }
        }
        return at;
    }

    /** The first index of the least value. */
    static int firstLeast(long[] values) {
        int at = 0;
        for (int i = 1; i < values.length; i++) {
            if (values[i] < values[at]) {
                at = i;
            }
        }
        return at;
    }

    static long[] take(long[] values, int[] at) {
        long[] taken = new long[at.length];
        for (int i = 0; i < at.length; i++) {
            taken[i] = values[at[i]];
        }
        return taken;
    }

    static long[][] takeOfEach(long[][] rows, int[] at) {
        long[][] taken = new long[rows.length][];
        for (int i = 0; i < rows.length; i++) {
            taken[i] = take(rows[i], at);
        }
        return taken;
    }

    static double[] take(double[] values, int[] at) {
        double[] taken = new double[at.length];
        for (int i = 0; i < at.length; i++) {
            taken[i] = values[at[i]];
        }
        return taken;
    }

    static int[] take(int[] values, int[] at) {
        int[] taken = new int[at.length];
        for (int i = 0; i < at.length; i++) {
            taken[i] = values[at[i]];
        }
        return taken;
    }

    static long[] negated(long[] values) {
        long[] negated = new long[values.length];
        for (int i = 0; i < values.length; i++) {
            negated[i] = -values[i];
        }
        return negated;
    }

    /** Longs that compare as the doubles do, none of which may be NaN. */
    static long[] ordered(double[] values) {
        long[] keys = new long[values.length];
        for (int i = 0; i < values.length; i++) {
            long bits = Double.doubleToLongBits(values[i] + 0.0); // the sum makes 0 of -0
            keys[i] = bits ^ (bits >> 63 & Long.MAX_VALUE);
        }
        return keys;
    }

    /** The indices in ascending order of the first key, equals in that of the next one; stable. */
    static int[] order(long[]... keys) {
        int[] order = orderBy(keys[keys.length - 1]);
        for (int k = keys.length - 2; k >= 0; k--) {
            order = take(order, orderBy(take(keys[k], order)));
        }
        return order;
    }

    /** The indices in ascending order of a key, by a natural merge sort: stable, and quick on few ascending runs. */
    private static int[] orderBy(long[] key) {
        int n = key.length;
        int[] order = new int[n];
        int[] starts = new int[n + 1];
        int runs = 0;
        for (int i = 0; i < n; i++) {
            order[i] = i;
            if (i == 0 || key[i] < key[i - 1]) {
                starts[runs++] = i;
            }
        }
        starts[runs] = n;
        int[] other = new int[n];
        while (runs > 1) {
            int merged = 0;
            for (int r = 0; r < runs; r += 2) {
                int low = starts[r];
                int middle = starts[r + 1];
                int high = r + 1 < runs ? starts[r + 2] : middle;
                merge(key, order, other, low, middle, high);
                starts[merged++] = low;
            }
            starts[merged] = n;
            runs = merged;
            int[] swap = order;
            order = other;
            other = swap;
        }
        return order;
    }

    private static void merge(long[] key, int[] from, int[] to, int low, int middle, int high) {
        int i = low;
        int j = middle;
        for (int k = low; k < high; k++) {
            to[k] = i < middle && (j >= high || key[from[i]] <= key[from[j]]) ? from[i++] : from[j++];
        }
    }
}
