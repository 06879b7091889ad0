package org.legodnn;

/**
 * From what a device can spare to a limit of memory: what is available besides what the models hold, less a reserve;
 * less still where the system asks for memory back. Knows nothing of Android. Not for several threads at once.
 */
public final class MemoryPolicy {
    /** After relief, pressure is not believed for so long. */
    private static final double PRESSURE_S = 10;

    private final double reserve;
    private final double relief;
    private final Hysteresis hysteresis;
    private final long most;
    private Hysteresis.Level level = Hysteresis.Level.UNLIMITED;
    private double relievedS = Double.NEGATIVE_INFINITY;

    /**
     * @param reserve what is left free beyond the system's own threshold, as a share of that
     * @param relief the share of what they hold that models keep when the system asks for memory back
     * @param hysteresis how the limit follows
     * @param most what the models hold at the most, in bytes; a limit beyond it is none
     * @throws WorkloadException the reserve is negative or infinite, or the relief is no fraction
     */
    public MemoryPolicy(double reserve, double relief, Hysteresis hysteresis, long most) {
        if (!(0 <= reserve && reserve < Double.POSITIVE_INFINITY && 0 < relief && relief <= 1)) {
            throw new WorkloadException("a memory policy's reserve is a share of at least 0, its relief above 0 and at"
                    + " most 1; got " + reserve + " and " + relief);
        }
        this.reserve = reserve;
        this.relief = relief;
        this.hysteresis = hysteresis;
        this.most = most;
    }

    /**
     * A relief of 80 %, for the models of a scheduler, and a reserve of half the system's threshold. Below its threshold
     * Android ends other apps to get memory; it is some 200 MB on a phone of 6 GB, and scales with the device. A share
     * of all memory would be many times what models of a phone's size hold.
     */
    public static MemoryPolicy of(Scheduler scheduler) {
        long most = 0;
        for (ModelTable table : scheduler.tables()) {
            most += most(table.blocks) + most(table.fixed);
        }
        return new MemoryPolicy(0.5, 0.8, new Hysteresis(), most);
    }

    private static long most(Iterable<BlockRows> segments) {
        long sum = 0;
        for (BlockRows segment : segments) {
            long most = 0;
            for (OptionRow option : segment.options) {
                most = Math.max(most, option.memoryBytes);
            }
            sum += most;
        }
        return sum;
    }

    /**
     * The limit of the moment, for {@link LegoRuntime#setSpareMemory}.
     *
     * @param nowS seconds of a clock that never goes back
     * @param available what could be allocated before the system would have to take memory from others
     * @param threshold below which the system counts itself as short of memory
     * @param held what the models hold
     * @param pressed whether the system asks for memory back
     * @return bytes, at least 1; null for no limit
     */
    public Long limit(double nowS, long available, long threshold, long held, boolean pressed) {
        double target = Math.max(1, held + available - threshold * (1 + reserve));
        if (pressed && nowS - relievedS >= PRESSURE_S) {
            target = Math.min(target, Math.max(1, held * relief));
            relievedS = nowS;
        } else if (pressed) {
            target = Math.min(target, level.value); // relief was given a moment ago; nothing grows meanwhile
        }
        level = hysteresis.follow(level, target, nowS);
        return level.value < most ? Long.valueOf((long) Math.max(1, level.value)) : null;
    }
}
