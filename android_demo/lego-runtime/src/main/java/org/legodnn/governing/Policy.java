package org.legodnn.governing;

import org.legodnn.WorkloadException;

/** The settings by which readings become budgets, as docs/monitor.md tells. Immutable. */
public final class Policy {
    /** The settings that are meant for most devices. */
    public static final Policy DEFAULT = new Policy(0.1, 0.5, 0.1, 0.8, 15, new Hysteresis(),
            new Hysteresis(0.1, 0.05, 0.25, 10, 300), new Hysteresis(0.1, 0, 0.15, 10, 300),
            new Hysteresis(0.05, 0, 0.15, 10, 300));

    final double reserve;
    final double thresholdReserve;
    final double pressure;
    final double relief;
    final int observations;
    final Hysteresis memory;
    final Hysteresis cores;
    final Hysteresis speed;
    final Hysteresis tail;

    private Policy(double reserve, double thresholdReserve, double pressure, double relief, int observations,
            Hysteresis memory, Hysteresis cores, Hysteresis speed, Hysteresis tail) {
        if (!(0 <= reserve && reserve < 1 && 0 <= thresholdReserve && thresholdReserve < Double.POSITIVE_INFINITY
                && 0 < pressure && pressure <= 1 && 0 < relief && relief <= 1 && observations > 0)) {
            throw new WorkloadException("a policy's reserve is a fraction, its reserve beyond the system's threshold at"
                    + " least 0, its pressure and relief above 0 and at most 1, its observations positive; got "
                    + reserve + ", " + thresholdReserve + ", " + pressure + ", " + relief + " and " + observations);
        }
        this.reserve = reserve;
        this.thresholdReserve = thresholdReserve;
        this.pressure = pressure;
        this.relief = relief;
        this.observations = observations;
        this.memory = memory;
        this.cores = cores;
        this.speed = speed;
        this.tail = tail;
    }

    /**
     * The same with another share of all memory that is left free; it counts where the system tells no threshold.
     *
     * @throws WorkloadException it is no fraction
     */
    public Policy withReserve(double share) {
        return new Policy(share, thresholdReserve, pressure, relief, observations, memory, cores, speed, tail);
    }

    /**
     * The same with another reserve beyond the threshold below which the system ends other apps, as a share of that
     * threshold. On a phone of 6 GB the threshold is some 200 MB; a share of all memory would be many times what models
     * of a phone's size hold.
     *
     * @throws WorkloadException negative or infinite
     */
    public Policy withThresholdReserve(double share) {
        return new Policy(reserve, share, pressure, relief, observations, memory, cores, speed, tail);
    }

    /**
     * The same with another share of the time that processes wait for memory, from which on models give some back.
     *
     * @throws WorkloadException not above 0 and at most 1
     */
    public Policy withPressure(double share) {
        return new Policy(reserve, thresholdReserve, share, relief, observations, memory, cores, speed, tail);
    }

    /**
     * The same with another share of their memory that models keep then, and of the processors under heat.
     *
     * @throws WorkloadException not above 0 and at most 1
     */
    public Policy withRelief(double share) {
        return new Policy(reserve, thresholdReserve, pressure, share, observations, memory, cores, speed, tail);
    }

    /**
     * The same with another number of inferences of a model from which its speed is judged.
     *
     * @throws WorkloadException not positive
     */
    public Policy withObservations(int count) {
        return new Policy(reserve, thresholdReserve, pressure, relief, count, memory, cores, speed, tail);
    }

    /** The same with another way in which the limit of memory follows its target. */
    public Policy withMemory(Hysteresis how) {
        return new Policy(reserve, thresholdReserve, pressure, relief, observations, how, cores, speed, tail);
    }

    /** The same with another way in which the limit of compute follows its target. */
    public Policy withCores(Hysteresis how) {
        return new Policy(reserve, thresholdReserve, pressure, relief, observations, memory, how, speed, tail);
    }

    /** The same with another way in which the models' speeds follow what is seen. */
    public Policy withSpeed(Hysteresis how) {
        return new Policy(reserve, thresholdReserve, pressure, relief, observations, memory, cores, how, tail);
    }

    /** The same with another way in which the speeds of the slowest inferences follow what is seen. */
    public Policy withTail(Hysteresis how) {
        return new Policy(reserve, thresholdReserve, pressure, relief, observations, memory, cores, speed, how);
    }
}
