package org.legodnn;

import android.app.ActivityManager;
import android.content.Context;
import android.os.PowerManager;

import org.legodnn.internal.Heat;

/**
 * What Android tells of what would spoil measurements: power saving, from Android 10 on heat, and that the app is in
 * the background, where Android keeps it on the little cores.
 */
public final class AndroidConditions implements DeviceConditions {
    private final PowerManager power;
    private final Heat heat;

    /** @param context any of the app's */
    public AndroidConditions(Context context) {
        Context application = context.getApplicationContext();
        power = (PowerManager) application.getSystemService(Context.POWER_SERVICE);
        heat = Heat.of(application);
    }

    @Override
    public String heldBack() {
        return power.isPowerSaveMode() ? "power saving is on" : heat.throttled();
    }

    @Override
    public String slowed() {
        ActivityManager.RunningAppProcessInfo own = new ActivityManager.RunningAppProcessInfo();
        ActivityManager.getMyMemoryState(own);
        return own.importance > ActivityManager.RunningAppProcessInfo.IMPORTANCE_VISIBLE
                ? "the app was in the background, where it may have little cores alone" : "";
    }
}
