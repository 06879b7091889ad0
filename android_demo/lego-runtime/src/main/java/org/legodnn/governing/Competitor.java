package org.legodnn.governing;

/** Another user of the processors. */
public final class Competitor {
    final double cores;
    final double weight;

    /**
     * @param cores processor seconds that it uses in each second
     * @param weight the weight of each of its threads; 1 is the weight of this process's threads
     */
    public Competitor(double cores, double weight) {
        this.cores = cores;
        this.weight = weight;
    }

    /** Processor seconds that it uses in each second. */
    public double cores() {
        return cores;
    }

    /** The weight of each of its threads; 1 is the weight of this process's threads. */
    public double weight() {
        return weight;
    }
}
