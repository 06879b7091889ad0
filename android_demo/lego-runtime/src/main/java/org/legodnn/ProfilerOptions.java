package org.legodnn;

/** How to profile. Immutable; start from {@link #DEFAULTS}. */
public final class ProfilerOptions {
    /** One thread, 50 rounds, every option weighed three times, on this device. */
    public static final ProfilerOptions DEFAULTS = new ProfilerOptions(new int[] {1}, 50, 3, null, null);

    private final int[] threads;
    final int rounds;
    final int weighings;
    final Fingerprint device;
    final MemoryMeter memory;

    private ProfilerOptions(int[] threads, int rounds, int weighings, Fingerprint device, MemoryMeter memory) {
        this.threads = threads;
        this.rounds = rounds;
        this.weighings = weighings;
        this.device = device;
        this.memory = memory;
    }

    /** Thread counts to time. */
    public int[] threads() {
        return threads.clone();
    }

    /** The same with other thread counts. */
    public ProfilerOptions withThreads(int... counts) {
        return new ProfilerOptions(counts.clone(), rounds, weighings, device, memory);
    }

    /** The same with so many timings of each option at each thread count. */
    public ProfilerOptions withRounds(int count) {
        return new ProfilerOptions(threads, count, weighings, device, memory);
    }

    /** The same with so many weighings of each option. */
    public ProfilerOptions withWeighings(int count) {
        return new ProfilerOptions(threads, rounds, count, device, memory);
    }

    /** The same for a device that is described by the application. */
    public ProfilerOptions withDevice(Fingerprint other) {
        return new ProfilerOptions(threads, rounds, weighings, other, memory);
    }

    /** The same with another way to tell this process's memory. */
    public ProfilerOptions withMemory(MemoryMeter other) {
        return new ProfilerOptions(threads, rounds, weighings, device, other);
    }

    /** How often each option is timed at each thread count. */
    public int rounds() {
        return rounds;
    }

    /** How often memory and load time of each option are measured. */
    public int weighings() {
        return weighings;
    }

    /** What the profile is to say it holds for; null for {@link Device#fingerprint}. */
    public Fingerprint device() {
        return device;
    }

    /** What tells this process's memory; null for {@link Device#MEMORY}. */
    public MemoryMeter memory() {
        return memory;
    }
}
