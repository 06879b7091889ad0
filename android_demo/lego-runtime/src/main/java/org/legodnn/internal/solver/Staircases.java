package org.legodnn.internal.solver;

import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicReferenceArray;

/**
 * An index by latency of a frontier, from which its staircase under any latency limit is read: by ascending memory, the
 * points within the limit whose value is greater than that of all points before them.
 *
 * <p>Latencies are divided into intervals. For a limit in the interval from s to s', only those points can matter that
 * are no slower than s' and whose value no lighter point of latency <= s reaches. They are found when a limit in the
 * interval is first asked for, and kept.
 */
final class Staircases {
    /** A frontier of N points gets sqrt(N) / PER_INTERVAL intervals. */
    private static final int PER_INTERVAL = 8;
    /** The bounds of intervals are quantiles of a sample, with this many latencies for each interval. */
    private static final int SAMPLES = 16;

    /** The indexed points, as indices of points of the frontier, ascending. */
    private final int[] points;
    /** Their latencies, and what is to be maximised: their values, or their accuracies. */
    private final long[] latency;
    private final double[] value;
    /** The intervals' first latencies, ascending. */
    private final long[] starts;
    private final AtomicReferenceArray<int[]> found;

    /** The index of some points of a frontier, ascending, whose points have these values, or accuracies. */
    Staircases(Frontier frontier, double[] value, int[] points) {
        this.points = points;
        this.latency = Numbers.take(frontier.latency, points);
        this.value = Numbers.take(value, points);
        int n = points.length;
        int intervals = 1 + (int) Math.sqrt(n) / PER_INTERVAL;
        long[] some = every(latency, 1 + n / (SAMPLES * intervals));
        Arrays.sort(some);
        long[] quantiles = every(some, 1 + some.length / intervals);
        quantiles[0] = Numbers.least(latency);
        int count = 1;
        for (int i = 1; i < quantiles.length; i++) {
            if (quantiles[i] > quantiles[count - 1]) {
                quantiles[count++] = quantiles[i];
            }
        }
        this.starts = Arrays.copyOf(quantiles, count);
        this.found = new AtomicReferenceArray<>(count);
    }

    private static long[] every(long[] values, int step) {
        long[] some = new long[(values.length + step - 1) / step];
        for (int i = 0; i < some.length; i++) {
            some[i] = values[i * step];
        }
        return some;
    }

    /** The staircase under a limit in nanoseconds: indices of points, ascending in memory and in value. */
    int[] under(long latencyLimit) {
        int at = Arrays.binarySearch(starts, latencyLimit);
        at = at >= 0 ? at : -at - 2;
        if (at < 0) {
            return new int[0];
        }
        int[] some = found.get(at);
        if (some == null) {
            some = canMatter(at);
            found.set(at, some); // two threads that come here at once find the same
        }
        int[] steps = new int[some.length];
        int count = 0;
        double best = Double.NEGATIVE_INFINITY;
        for (int i : some) {
            if (latency[i] <= latencyLimit && value[i] > best) {
                best = value[i];
                steps[count++] = points[i];
            }
        }
        return Arrays.copyOf(steps, count);
    }

    /** The staircase of several staircases of one frontier together, whose points have these values. */
    static int[] highest(long[] value, List<int[]> staircases) {
        int count = 0;
        for (int[] one : staircases) {
            count += one.length;
        }
        int[] all = new int[count];
        int at = 0;
        for (int[] one : staircases) {
            System.arraycopy(one, 0, all, at, one.length);
            at += one.length;
        }
        Arrays.sort(all);
        int kept = 0;
        long best = -Frontier.INFINITE;
        for (int point : all) {
            if (value[point] > best) {
                best = value[point];
                all[kept++] = point;
            }
        }
        return Arrays.copyOf(all, kept);
    }

    /** Which points can matter under a limit in one interval, ascending in memory. */
    private int[] canMatter(int interval) {
        long start = starts[interval];
        long end = interval + 1 < starts.length ? starts[interval + 1] : Frontier.INFINITE;
        int[] some = new int[value.length];
        int count = 0;
        double best = Double.NEGATIVE_INFINITY;
        for (int i = 0; i < value.length; i++) {
            if (value[i] > best && latency[i] <= end) {
                some[count++] = i;
            }
            if (latency[i] <= start) {
                best = Math.max(best, value[i]);
            }
        }
        return Arrays.copyOf(some, count);
    }
}
