package org.legodnn.governing;

/** What a monitor says of processes that wait for memory, which only governors read. */
public final class Pressure {
    private Pressure() {}

    /** From 0 to 1. */
    public static double of(DeviceMonitor monitor) {
        Double pressure = monitor.read().memoryPressure;
        return pressure == null ? Double.NaN : pressure;
    }
}
