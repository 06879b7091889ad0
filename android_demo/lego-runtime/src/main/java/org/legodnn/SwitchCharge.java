package org.legodnn;

import org.legodnn.internal.json.Bounds;
import org.legodnn.internal.json.Fields;

/** What it costs to leave the running plan, in units of the objective (weighted accuracy), per block loaded. */
public final class SwitchCharge {
    /**
     * For each millisecond of loading, as the profile measured it, a thousandth of a per cent of accuracy: what gains
     * less is not worth a switch.
     */
    public static final SwitchCharge LOADING = new SwitchCharge(0, 1e-5);
    /** Nothing. */
    public static final SwitchCharge NONE = new SwitchCharge(0, 0);

    final double perMb;
    final double perMs;

    /**
     * @param perMb for each 10^6 bytes of the options' files that must be loaded
     * @param perMs for each millisecond of loading, as the profile measured it
     * @throws WorkloadException negative, NaN, or beyond 10^9
     */
    public SwitchCharge(double perMb, double perMs) {
        if (!(perMb >= 0 && perMs >= 0 && perMb <= Bounds.CHARGE && perMs <= Bounds.CHARGE)) {
            throw new WorkloadException("SwitchCharge: per_mb and per_ms must be numbers from 0 to " + Bounds.CHARGE
                    + "; got " + perMb + " and " + perMs);
        }
        this.perMb = perMb;
        this.perMs = perMs;
    }

    static SwitchCharge read(Fields fields) {
        double perMb = fields.has("per_mb") ? fields.number("per_mb", 0, Bounds.CHARGE) : 0;
        double perMs = fields.has("per_ms") ? fields.number("per_ms", 0, Bounds.CHARGE) : 0;
        fields.end();
        return new SwitchCharge(perMb, perMs);
    }

    /** What loading one option is charged. */
    public double of(OptionRow option) {
        return perMb * option.bytes / 1e6 + perMs * option.loadMs;
    }

    /** For each 10^6 bytes of the options' files that must be loaded. */
    public double perMb() {
        return perMb;
    }

    /** For each millisecond of loading, as the profile measured it. */
    public double perMs() {
        return perMs;
    }
}
