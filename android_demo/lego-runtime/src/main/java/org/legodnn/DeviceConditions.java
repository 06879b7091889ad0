package org.legodnn;

/** Whether a device is in a state in which it can be measured. */
public interface DeviceConditions {
    /** Why the processors are held back at the moment, such as heat or power saving; empty if they are not. */
    String heldBack();
}
