package org.legodnn;

/** Whether a device is in a state in which it can be measured. */
public interface DeviceConditions {
    /** Why the processors are held back at the moment, such as heat or power saving; empty if they are not. */
    String heldBack();

    /**
     * What else makes this process slower than in use at the moment, such as that its app is in the background; empty
     * if nothing does. Measuring goes on, and the profile's warnings tell it. Asked between measurements, often.
     */
    default String slowed() {
        return "";
    }
}
