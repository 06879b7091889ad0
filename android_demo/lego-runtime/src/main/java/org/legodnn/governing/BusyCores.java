package org.legodnn.governing;

import java.io.BufferedReader;
import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;

import org.jspecify.annotations.Nullable;

/** How many processors were busy between two moments, by the kernel's count as far as it may be read. */
final class BusyCores {
    /** Ticks of the kernel's clock in a second, the same on all of Android's kernels. */
    private static final double TICKS = 100;
    /** Seconds; over fewer a tick more or less would look like whole processors. */
    private static final double LEAST_S = 0.25;

    private final File stat;
    private double lastS = Double.NaN;
    private @Nullable Double lastBusyS;
    private double lastOwnS;

    /** @param stat the kernel's count of processor time */
    BusyCores(File stat) {
        this.stat = stat;
    }

    /** Processor seconds that were used in each second. */
    static final class Use {
        final double busy;
        final double own;

        Use(double busy, double own) {
            this.busy = busy;
            this.own = own;
        }
    }

    /**
     * The use since the call before; null at the first, and where that was just now: then the next one covers this time
     * too. Where the kernel's count may not be read (Android 8 and later), all that is known to be busy is this
     * process.
     *
     * @param nowS seconds of a clock that never goes back
     * @param ownS processor seconds that this process has used so far
     */
    @Nullable Use since(double nowS, double ownS) {
        double seconds = nowS - lastS; // NaN at the first call
        if (seconds < LEAST_S) {
            return null;
        }
        Double busyS = busySeconds();
        Use use = null;
        if (seconds >= LEAST_S) {
            double own = Math.max(0, ownS - lastOwnS) / seconds;
            double busy = busyS == null || lastBusyS == null ? own : Math.max(0, busyS - lastBusyS) / seconds;
            use = new Use(busy, own);
        }
        lastS = nowS;
        lastBusyS = busyS;
        lastOwnS = ownS;
        return use;
    }

    /** Processor seconds that all have used; null if that may not be read. */
    private @Nullable Double busySeconds() {
        try (BufferedReader in = new BufferedReader(
                new InputStreamReader(new FileInputStream(stat), StandardCharsets.UTF_8))) {
            String line = in.readLine();
            String[] fields = line == null ? new String[0] : line.trim().split(" +");
            if (fields.length < 9 || !fields[0].equals("cpu")) {
                return null;
            }
            double sum = 0;
            for (int i = 1; i <= 8; i++) { // user, nice, system, idle, iowait, irq, softirq, steal; guests are in user
                sum += i == 4 || i == 5 ? 0 : Double.parseDouble(fields[i]);
            }
            return sum / TICKS;
        } catch (IOException | NumberFormatException e) {
            return null; // not told here
        }
    }
}
