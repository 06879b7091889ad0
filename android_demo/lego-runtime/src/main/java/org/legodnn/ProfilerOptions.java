package org.legodnn;

import java.io.File;

import org.jspecify.annotations.Nullable;

/** How to profile. Immutable; start from {@link #DEFAULTS}. */
public final class ProfilerOptions {
    /** One thread, 50 rounds, every option weighed three times, on this device. */
    public static final ProfilerOptions DEFAULTS = new ProfilerOptions(
            new int[] {1}, 50, 3, null, null, null, null, Validator::sleep);

    private final int[] threads;
    final int rounds;
    final int weighings;
    final @Nullable Fingerprint device;
    final @Nullable MemoryMeter memory;
    final @Nullable DeviceConditions conditions;
    final @Nullable File stateFile;
    /** Waits between inferences whose pauses are to tell. */
    final Runnable pause;

    private ProfilerOptions(int[] threads, int rounds, int weighings, @Nullable Fingerprint device,
            @Nullable MemoryMeter memory, @Nullable DeviceConditions conditions, @Nullable File stateFile,
            Runnable pause) {
        this.threads = threads;
        this.rounds = rounds;
        this.weighings = weighings;
        this.device = device;
        this.memory = memory;
        this.conditions = conditions;
        this.stateFile = stateFile;
        this.pause = pause;
    }

    /** Thread counts to time. */
    public int[] threads() {
        return threads.clone();
    }

    /** The same with other thread counts; those that a workload gives its models must be among them. */
    public ProfilerOptions withThreads(int... counts) {
        return new ProfilerOptions(counts.clone(), rounds, weighings, device, memory, conditions, stateFile, pause);
    }

    /** The same with so many timings of each option at each thread count. */
    public ProfilerOptions withRounds(int count) {
        return new ProfilerOptions(threads, count, weighings, device, memory, conditions, stateFile, pause);
    }

    /** The same with so many weighings of each option. */
    public ProfilerOptions withWeighings(int count) {
        return new ProfilerOptions(threads, rounds, count, device, memory, conditions, stateFile, pause);
    }

    /** The same for a device that is described by the application. */
    public ProfilerOptions withDevice(Fingerprint other) {
        return new ProfilerOptions(threads, rounds, weighings, other, memory, conditions, stateFile, pause);
    }

    /** The same with another way to tell this process's memory. */
    public ProfilerOptions withMemory(MemoryMeter other) {
        return new ProfilerOptions(threads, rounds, weighings, device, other, conditions, stateFile, pause);
    }

    /** The same on a device that tells whether it can be measured at the moment, such as {@code AndroidConditions}. */
    public ProfilerOptions withConditions(DeviceConditions other) {
        return new ProfilerOptions(threads, rounds, weighings, device, memory, other, stateFile, pause);
    }

    /**
     * The same with a file for what has been measured: a profiling that was stopped, or whose process was killed, goes
     * on from there, if it is of the same store, device and options. It is removed at the end.
     */
    public ProfilerOptions withStateFile(File other) {
        return new ProfilerOptions(threads, rounds, weighings, device, memory, conditions, other, pause);
    }

    /** The same with another way to wait, for tests. */
    ProfilerOptions withPause(Runnable other) {
        return new ProfilerOptions(threads, rounds, weighings, device, memory, conditions, stateFile, other);
    }

    /** What tells whether the device can be measured; null if nothing does. */
    public @Nullable DeviceConditions conditions() {
        return conditions;
    }

    /** Where what has been measured is kept; null for nowhere. */
    public @Nullable File stateFile() {
        return stateFile;
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
    public @Nullable Fingerprint device() {
        return device;
    }

    /** What tells this process's memory; null for {@link Device#MEMORY}. */
    public @Nullable MemoryMeter memory() {
        return memory;
    }
}
