package org.legodnn;

import android.content.Context;
import android.os.PowerManager;

import org.legodnn.internal.Heat;

/** What Android tells of what would spoil measurements: power saving, and from Android 10 on heat. */
public final class AndroidConditions implements DeviceConditions {
    private final PowerManager power;
    private final Heat heat;

    /** @param context any of the app's */
    public AndroidConditions(Context context) {
        power = (PowerManager) context.getSystemService(Context.POWER_SERVICE);
        heat = Heat.of(context);
    }

    @Override
    public String heldBack() {
        return power.isPowerSaveMode() ? "power saving is on" : heat.throttled();
    }
}
