package org.legodnn;

/** Measures a store on this device: latency, memory and load time of every option. */
public final class Profiler {
    private Profiler() {}

    /**
     * Measure every option of a store. Takes a while: run it on a thread of its own, with nothing else running.
     *
     * @param store the store
     * @param executor what is to run it
     * @param options how
     * @param progress is told how far it is; may be null
     * @throws ProfileException options make no sense, or progress said to stop
     * @throws StoreException an option cannot be loaded
     */
    public static Profile profile(Store store, Executor executor, ProfilerOptions options, Progress progress) {
        throw new UnsupportedOperationException("not yet");
    }
}
