package org.legodnn;

import java.io.File;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

import org.jspecify.annotations.Nullable;
import org.legodnn.internal.json.JsonObject;

/** The conditions that a profile was measured under: kernel, clock and what held the processors back. */
final class MeasuringConditions {
    private final DeviceConditions device;
    private final File cpus;
    private final @Nullable String governor;
    private final @Nullable Double before;
    /** What disturbed the measurements, each once. */
    private final Set<String> warnings = new LinkedHashSet<>();
    /** Whether anything was measured. */
    private boolean begun;

    /** The state before the first measurement. */
    MeasuringConditions(DeviceConditions device, File cpus) {
        this.device = device;
        this.cpus = cpus;
        this.governor = Device.firstLine(new File(cpus, "cpu0/cpufreq/scaling_governor"));
        this.before = mhz();
    }

    /**
     * Go on only where the device is itself. If it was when something was measured, and is no more, that is a warning.
     *
     * @throws ProfileException its processors are held back
     */
    void check() {
        String why = device.heldBack();
        if (!why.isEmpty()) {
            if (begun) {
                warnings.add("the processors were held back while measuring: " + why);
            }
            throw new ProfileException("this device cannot be measured as it is (" + why
                    + "): its figures would not be those of other days; try again when that is over");
        }
    }

    /** Between measurements: note what slows the process down. */
    void note() {
        begun = true;
        String why = device.slowed();
        if (!why.isEmpty()) {
            warnings.add("figures may be too high: " + why);
        }
    }

    /** What disturbed the measurements so far. */
    List<String> warnings() {
        return new ArrayList<>(warnings);
    }

    /** Tell of what disturbed earlier measurements, too, of which the profile is made as well. */
    void recall(List<String> earlier) {
        warnings.addAll(earlier);
    }

    /** As a profile has them, after the last measurement. */
    JsonObject toJson() {
        Double after = mhz();
        String heldBack = device.heldBack();
        note();
        if (!heldBack.isEmpty()) {
            warnings.add("the processors were held back at the end: " + heldBack);
        }
        return new JsonObject().put("kernel", System.getProperty("os.version", "unknown")).put("governor", governor)
                .put("mhz", Arrays.<Object>asList(before, after)).put("throttled", Arrays.asList("", heldBack))
                .put("warnings", warnings());
    }

    /** The clock of the fastest core; null where the system does not tell. */
    private @Nullable Double mhz() {
        Double fastest = null;
        File[] cores = cpus.listFiles();
        for (File core : cores == null ? new File[0] : cores) {
            String khz = Device.firstLine(new File(core, "cpufreq/scaling_cur_freq"));
            if (khz != null && khz.matches("[0-9]{1,9}")) {
                double mhz = Double.parseDouble(khz) / 1000;
                fastest = fastest == null ? mhz : Math.max(fastest, mhz);
            }
        }
        return fastest;
    }
}
