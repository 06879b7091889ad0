package org.legodnn;

import java.io.BufferedReader;
import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;

/** What this device is, as far as measurements depend on it; on Android and on Linux. */
public final class Device {
    /** Proportional set size of this process, from the kernel; resident size where it does not tell. */
    public static final MemoryMeter MEMORY = new MemoryMeter() {
        @Override
        public long processBytes() {
            String pss = field(new File("/proc/self/smaps_rollup"), "Pss");
            String rss = pss == null ? field(new File("/proc/self/status"), "VmRSS") : pss;
            return rss == null ? 0 : Long.parseLong(rss.replace("kB", "").trim()) * 1024;
        }
    };

    private Device() {}

    /** The architecture, the processor, usable cores, and what runs the blocks. */
    public static Fingerprint fingerprint(Executor executor) {
        return new Fingerprint(System.getProperty("os.arch", "unknown"), cpu(),
                Runtime.getRuntime().availableProcessors(), executor.name());
    }

    private static String cpu() {
        for (String key : new String[] {"model name", "Model", "Hardware"}) {
            String found = field(new File("/proc/cpuinfo"), key);
            if (found != null && !found.isEmpty()) {
                return found;
            }
        }
        String part = field(new File("/proc/cpuinfo"), "CPU part"); // all that ARM's 64-bit kernels say
        return part == null ? "unknown" : field(new File("/proc/cpuinfo"), "CPU implementer") + ":" + part;
    }

    /** The first value of a field in a file of "key: value" lines; null if there is none. */
    private static String field(File file, String key) {
        try (BufferedReader in = new BufferedReader(
                new InputStreamReader(new FileInputStream(file), StandardCharsets.UTF_8))) {
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                int colon = line.indexOf(':');
                if (colon > 0 && line.substring(0, colon).trim().equals(key)) {
                    return line.substring(colon + 1).trim();
                }
            }
        } catch (IOException e) {
            return null; // not told here
        }
        return null;
    }
}
