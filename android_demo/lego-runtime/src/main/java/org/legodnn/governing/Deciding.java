package org.legodnn.governing;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeSet;

import org.jspecify.annotations.Nullable;
import org.legodnn.Budget;
import org.legodnn.internal.Text;

/**
 * Which budget follows from what a device can spare, and why. {@link #decide} is a pure function: it reads no clock, no
 * file and no runtime. Memory and compute follow what is available, each model's speed and tail what was measured of
 * it, all by the same rule ({@link Hysteresis}). It is the Python package's {@code legodnn.runtime.governing.policy}.
 */
final class Deciding {
    /**
     * The pressure that the system reports is an average over so many seconds. For as long after models gave memory
     * back it still shows the time before that, and does not count.
     */
    private static final double PRESSURE_AVERAGE_S = 10;
    /** Bounds of a model's speed, as a factor of the profiled speed. */
    private static final double SLOWEST = 0.01;
    private static final double FASTEST = 100;
    private static final double LEAST_CORES = 0.01;

    private Deciding() {}

    /** A decision, and the state for the next one. */
    static final class Next {
        final PolicyState state;
        final Decision decision;

        Next(PolicyState state, Decision decision) {
            this.state = state;
            this.decision = decision;
        }
    }

    /**
     * Decide what the models should be planned for now.
     *
     * @param state the one of the decision before; {@link PolicyState#NONE} for the first
     */
    static Next decide(Policy policy, Demand demand, PolicyState state, Situation situation) {
        double now = situation.readings.timeS;
        boolean pressed = pressed(policy, state, situation);
        Double free = cores(policy, demand, situation.readings);
        PolicyState next = new PolicyState(
                policy.memory.follow(state.memory, memory(policy, state, situation, pressed), now),
                free == null ? state.cores : policy.cores.follow(state.cores, free, now),
                speeds(state.speed, situation, situation.ratios, demand, policy.speed),
                speeds(state.tail, situation, situation.excesses, null, policy.tail),
                pressed ? now : state.relievedS);
        Map<String, Double> slowdown = slowdowns(demand, next);
        return new Next(next, new Decision(budget(demand, next), slowdown, tails(demand, next, slowdown),
                changes(demand, state, next, situation, pressed)));
    }

    /**
     * The speeds of models, following how many times longer than planned their inferences were seen to take. A
     * suspended model is known to be slow no longer: else it would never run again, though nothing slows it down now.
     */
    private static Map<String, Hysteresis.Level> speeds(Map<String, Hysteresis.Level> levels, Situation situation,
            Map<String, Double> seen, @Nullable Demand expected, Hysteresis rule) {
        double now = situation.readings.timeS;
        Map<String, Hysteresis.Level> followed = new LinkedHashMap<>(levels);
        for (Map.Entry<String, Double> one : seen.entrySet()) {
            Hysteresis.Level known = levels.get(one.getKey());
            Hysteresis.Level level = known != null ? known : Hysteresis.Level.of(usual(expected, one.getKey()));
            double speed = Math.min(Math.max(1 / one.getValue(), SLOWEST), FASTEST);
            followed.put(one.getKey(), rule.follow(level, speed, now));
        }
        for (String name : situation.suspended) {
            Hysteresis.Level known = levels.get(name);
            if (known != null) {
                followed.put(name, rule.recover(known, usual(expected, name), now));
            }
        }
        return followed;
    }

    private static double usual(@Nullable Demand expected, String name) {
        return expected == null ? 1 : 1 / expected.expected(name);
    }

    private static boolean pressed(Policy policy, PolicyState state, Situation situation) {
        Double pressure = situation.readings.memoryPressure;
        return pressure != null && pressure >= policy.pressure
                && situation.readings.timeS - state.relievedS >= PRESSURE_AVERAGE_S;
    }

    /**
     * The bytes that models could hold: what they hold and what is available, less the reserve; less under pressure.
     */
    private static double memory(Policy policy, PolicyState state, Situation situation, boolean pressed) {
        Readings readings = situation.readings;
        double kept = readings.memoryThresholdBytes == null ? policy.reserve * readings.memoryTotalBytes
                : (1 + policy.thresholdReserve) * readings.memoryThresholdBytes;
        double target = Math.max(1, situation.heldBytes + (readings.memoryAvailableBytes - kept));
        if (pressed) {
            return Math.min(target, Math.max(1, situation.heldBytes * policy.relief));
        }
        if (readings.memoryPressure != null && readings.memoryPressure >= policy.pressure) {
            return Math.min(target, state.memory.value); // given back a moment ago; nothing grows until that shows
        }
        return target;
    }

    /** The processors that models could keep busy; null if that is not known. */
    private static @Nullable Double cores(Policy policy, Demand demand, Readings readings) {
        if (demand.mostCores == null || readings.busyCores == null || readings.ownCores == null) {
            return null;
        }
        double allowed = readings.coresAllowed * (readings.throttled.isEmpty() ? 1 : policy.relief);
        double free = readings.coresTotal - others(readings);
        return Math.max(LEAST_CORES, Math.min(allowed, Math.max(free, share(demand.mostCores, readings))));
    }

    /** The processors that the kernel would give to models that want all they can use, beside the other processes. */
    private static double share(double mostCores, Readings readings) {
        double unseen = others(readings);
        for (Competitor one : readings.competing) {
            unseen -= one.cores;
        }
        List<Competitor> all = new ArrayList<>(readings.competing);
        all.add(new Competitor(Math.max(0, unseen), 1));
        return FairShare.cores(readings.coresTotal, all, Math.min(mostCores, readings.coresAllowed));
    }

    private static double others(Readings readings) {
        return readings.busyCores == null || readings.ownCores == null ? 0
                : Math.max(0, readings.busyCores - readings.ownCores);
    }

    private static Budget budget(Demand demand, PolicyState state) {
        Budget own = demand.budget;
        Double memory = limit(state.memory, demand.mostMemoryBytes,
                own.memoryBytes() == null ? null : own.memoryBytes().doubleValue());
        double slower = 1;
        for (Map.Entry<String, Double> one : slowdowns(demand, state).entrySet()) {
            slower = Math.max(slower, one.getValue() / demand.expected(one.getKey()));
        }
        Double cores = demand.mostCores == null ? own.cores()
                : limit(state.cores, slower * demand.mostCores, own.cores());
        Budget budget = memory == null ? own.withoutMemory() : own.withMemoryBytes(Math.max(1, memory.longValue()));
        return cores == null ? budget.withoutCores() : budget.withCores(cores);
    }

    /** The lower of a level and the application's own limit; null if neither limits what models can use. */
    private static @Nullable Double limit(Hysteresis.Level level, double most, @Nullable Double own) {
        double limit = Math.min(level.value < most ? level.value : Double.POSITIVE_INFINITY,
                own == null ? Double.POSITIVE_INFINITY : own);
        return limit == Double.POSITIVE_INFINITY ? null : Double.valueOf(limit);
    }

    /** The slow-downs that differ from the expected ones. */
    private static Map<String, Double> slowdowns(Demand demand, PolicyState state) {
        Map<String, Double> slowdown = new LinkedHashMap<>();
        for (Map.Entry<String, Hysteresis.Level> one : state.speed.entrySet()) {
            double speed = one.getValue().value;
            if (speed != 1 / demand.expected(one.getKey())) {
                slowdown.put(one.getKey(), 1 / speed);
            }
        }
        return slowdown;
    }

    /** What the slowest inferences take more than planned: what was seen of them counts instead of the slow-down. */
    private static Map<String, Double> tails(Demand demand, PolicyState state, Map<String, Double> slowdown) {
        Map<String, Double> tails = new LinkedHashMap<>();
        for (Map.Entry<String, Hysteresis.Level> one : state.tail.entrySet()) {
            double expected = demand.expected(one.getKey());
            double slow = slowdown.containsKey(one.getKey()) ? slowdown.get(one.getKey()) : expected;
            tails.put(one.getKey(), Math.min(expected / one.getValue().value / slow, FASTEST));
        }
        return tails;
    }

    private static List<DecidedChange> changes(
            Demand demand, PolicyState before, PolicyState after, Situation situation, boolean pressed) {
        Readings readings = situation.readings;
        List<DecidedChange> changes = new ArrayList<>();
        Budget was = budget(demand, before);
        Budget now = budget(demand, after);
        Double pressure = readings.memoryPressure;
        String waits = pressed && pressure != null
                ? said("processes wait for memory %.0f %% of the time; ", 100 * pressure) : "";
        add(changes, "memory", was.memoryBytes(), now.memoryBytes(), waits + Text.size(readings.memoryAvailableBytes)
                + " of " + Text.size(readings.memoryTotalBytes) + " available besides the models' "
                + Text.size(situation.heldBytes));
        String held = readings.throttled.isEmpty() ? "" : "held back (" + readings.throttled + ")";
        add(changes, "cores", was.cores(), now.cores(), (held.isEmpty() ? "" : held + "; ")
                + said("others are seen to keep %.2f of %.0f processors busy; models would get %.2f of them",
                        others(readings), readings.coresTotal,
                        share(demand.mostCores == null ? 0 : demand.mostCores, readings)));
        String heat = held.isEmpty() ? "" : "; " + held;
        Map<String, Double> wasSlow = slowdowns(demand, before);
        Map<String, Double> nowSlow = slowdowns(demand, after);
        TreeSet<String> names = new TreeSet<>(wasSlow.keySet());
        names.addAll(nowSlow.keySet());
        for (String name : names) {
            double expected = demand.expected(name);
            add(changes, "speed of " + name, wasSlow.containsKey(name) ? wasSlow.get(name) : expected,
                    nowSlow.containsKey(name) ? nowSlow.get(name) : expected,
                    slow(situation, name, "its inferences take %.2f times as long as profiled", situation.ratios)
                            + heat);
        }
        for (String name : after.tail.keySet()) {
            Hysteresis.Level known = before.tail.get(name);
            add(changes, "tail of " + name, known == null ? 1 : 1 / known.value, 1 / after.tail.get(name).value,
                    slow(situation, name, "its slowest inferences take %.2f times as long as promised",
                            situation.excesses) + heat);
        }
        return Collections.unmodifiableList(changes);
    }

    private static String slow(Situation situation, String name, String text, Map<String, Double> seen) {
        return situation.suspended.contains(name) ? "it has been suspended for a while: perhaps it is slow no longer"
                : said(text, seen.get(name));
    }

    private static void add(List<DecidedChange> changes, String what, @Nullable Number before,
            @Nullable Number after, String why) {
        if (before == null ? after != null : !before.equals(after)) {
            changes.add(new DecidedChange(what, before == null ? null : Double.valueOf(before.doubleValue()),
                    after == null ? null : Double.valueOf(after.doubleValue()), why));
        }
    }

    private static String said(String text, Object... figures) {
        return String.format(Locale.ROOT, text, figures);
    }
}
