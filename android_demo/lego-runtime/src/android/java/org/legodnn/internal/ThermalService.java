package org.legodnn.internal;

import android.annotation.TargetApi;
import android.content.Context;
import android.os.Build;
import android.os.PowerManager;

import org.jspecify.annotations.Nullable;

/** What Android says of heat, from Android 10 on. To be loaded there only. */
@TargetApi(Build.VERSION_CODES.R)
final class ThermalService extends Heat implements PowerManager.OnThermalStatusChangedListener {
    private static final int FORECAST_S = 10;
    private static final String[] STATUS = {
        "none", "light", "moderate", "severe", "critical", "emergency", "shutdown"
    };

    private final PowerManager power;
    private @Nullable Runnable changed;

    ThermalService(Context context) {
        power = (PowerManager) context.getSystemService(Context.POWER_SERVICE);
    }

    @Override
    public String throttled() {
        int status = power.getCurrentThermalStatus();
        if (status >= PowerManager.THERMAL_STATUS_MODERATE) {
            return "heat: thermal status " + (status < STATUS.length ? STATUS[status] : String.valueOf(status));
        }
        // 1 is where severe throttling begins. NaN where the device does not tell, or is asked too often.
        boolean soon = Build.VERSION.SDK_INT >= Build.VERSION_CODES.R && power.getThermalHeadroom(FORECAST_S) >= 1;
        return soon ? "heat: severe within " + FORECAST_S + " s" : "";
    }

    @Override
    public void start(Runnable changed) {
        this.changed = changed;
        power.addThermalStatusListener(this);
    }

    @Override
    public void stop() {
        power.removeThermalStatusListener(this);
    }

    @Override
    public void onThermalStatusChanged(int status) {
        Runnable told = changed;
        if (told != null) {
            told.run();
        }
    }
}
