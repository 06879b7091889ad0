package org.legodnn.governing;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;

/** How a kernel divides processors: by the weights of the threads that want them. */
final class FairShare {
    private FairShare() {}

    /** One that asks for processors. */
    private static final class Asking {
        final double most;
        final double weight;
        final boolean ours;

        Asking(double most, double weight, boolean ours) {
            this.most = most;
            this.weight = weight;
            this.ours = ours;
        }
    }

    /**
     * How many of the cores that this process wants the kernel would give it. Others are taken to want what they use
     * now, with as many threads as it takes to use that.
     *
     * @param cores the processors that are shared
     * @param others the other users
     * @param wanted cores that this process wants, with one thread of weight 1 for each core or part of one
     */
    static double cores(double cores, List<Competitor> others, double wanted) {
        List<Asking> asked = new ArrayList<>();
        double weights = Math.max(1, wanted);
        for (Competitor other : others) {
            Asking asking = new Asking(other.cores, other.weight * Math.max(1, Math.ceil(other.cores)), false);
            asked.add(asking);
            weights += asking.weight;
        }
        asked.add(new Asking(wanted, Math.max(1, wanted), true));
        // Whoever wants less than its share gets what it wants, and the rest share what it leaves.
        Collections.sort(asked, new Comparator<Asking>() {
            @Override
            public int compare(Asking a, Asking b) {
                int order = Double.compare(a.most / a.weight, b.most / b.weight);
                return order != 0 ? order : Boolean.compare(a.ours, b.ours);
            }
        });
        double room = cores;
        for (Asking one : asked) {
            double share = Math.min(one.most, room * one.weight / weights);
            if (one.ours) {
                return Math.max(0, share);
            }
            room -= share;
            weights -= one.weight;
        }
        throw new AssertionError("this process is among those that ask");
    }
}
