package org.legodnn.governing;

/** Reads the state of a device for a {@link Governor}. */
public interface DeviceMonitor {
    /** The state now. Takes milliseconds at most; called by one thread at a time. */
    Readings read();

    /**
     * Listen to what the system says by itself, until {@link #stop}; called when the governor is started.
     *
     * @param changed to be run when there is something to be read at once; it returns at once
     */
    void start(Runnable changed);

    /** Stop listening; may be started again. */
    void stop();
}
