package org.legodnn;

/** What it costs to leave the running plan, in units of the objective (weighted accuracy), per block loaded. */
public final class SwitchCharge {
    /** Nothing. */
    public static final SwitchCharge NONE = new SwitchCharge(0, 0);

    /** For each 10^6 bytes of the options' files that must be loaded. */
    public final double perMb;
    /** For each millisecond of loading, as the profile measured it. */
    public final double perMs;

    /**
     * @param perMb for each 10^6 bytes of the options' files that must be loaded
     * @param perMs for each millisecond of loading, as the profile measured it
     * @throws WorkloadException negative, NaN or infinite
     */
    public SwitchCharge(double perMb, double perMs) {
        if (!(perMb >= 0 && perMs >= 0 && perMb + perMs < Double.POSITIVE_INFINITY)) {
            throw new WorkloadException(
                    "SwitchCharge: per_mb and per_ms must be numbers, at least 0; got " + perMb + " and " + perMs);
        }
        this.perMb = perMb;
        this.perMs = perMs;
    }

    /** What loading one option is charged. */
    public double of(OptionRow option) {
        return perMb * option.bytes / 1e6 + perMs * option.loadMs;
    }
}
