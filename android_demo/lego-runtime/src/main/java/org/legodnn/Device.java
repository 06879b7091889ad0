package org.legodnn;

import java.io.BufferedReader;
import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

import org.jspecify.annotations.Nullable;

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

    /** The architecture, the processor, usable cores, and what runs the blocks. For a worker thread. */
    public static Fingerprint fingerprint(BlockExecutor executor) {
        return new Fingerprint(System.getProperty("os.arch", "unknown"), cpu(),
                Runtime.getRuntime().availableProcessors(), executor.name());
    }

    private static String cpu() {
        return cpu(new File("/proc/cpuinfo"), new File("/sys/devices/system/cpu"), androidNames());
    }

    /**
     * The processor's name, then what its cores are. ARM's 64-bit kernels name cores by numbers, a little core first,
     * so a name made of one core would be that of many phones. They list only the cores that are online, and phones
     * take idle ones offline: such a core is what the ones are that share its clock. Of cores that are all offline
     * together nothing is told.
     *
     * @param cpuinfo the kernel's list of cores
     * @param cpus the kernel's folder of cores, which tells how fast each may run, and which share a clock
     * @param names what the system says of itself; empty if nothing
     */
    static String cpu(File cpuinfo, File cpus, List<String> names) {
        for (String key : new String[] {"model name", "Model", "Hardware"}) {
            List<String> found = fields(cpuinfo, key);
            if (names.isEmpty() && !found.isEmpty() && !found.get(0).isEmpty()) {
                return found.get(0);
            }
        }
        Map<String, Integer> counts = new TreeMap<>();
        for (String core : cores(cpuinfo, cpus).values()) {
            Integer known = counts.get(core);
            counts.put(core, known == null ? 1 : known + 1);
        }
        StringBuilder name = new StringBuilder();
        for (String word : names) {
            name.append(name.length() == 0 ? "" : " ").append(word);
        }
        for (Map.Entry<String, Integer> core : counts.entrySet()) {
            name.append(name.length() == 0 ? "" : ", ").append(core.getValue()).append(" x ").append(core.getKey());
        }
        return name.length() == 0 ? "unknown" : name.toString();
    }

    /** What each core is, by its number. */
    private static Map<Integer, String> cores(File cpuinfo, File cpus) {
        Map<Integer, String> cores = new TreeMap<>();
        Map<Integer, String> online = new TreeMap<>();
        List<Integer> numbers = new ArrayList<>(); // of the paragraph
        String implementer = "";
        for (String line : lines(cpuinfo)) {
            if (line.trim().isEmpty()) {
                numbers.clear();
            }
            numbers.addAll(numbers(value(line, "processor")));
            String named = value(line, "CPU implementer");
            implementer = named == null ? implementer : named;
            String part = value(line, "CPU part");
            if (part != null) {
                boolean own = numbers.size() == 1; // old kernels describe all cores at once
                int number = own ? numbers.get(0) : 0;
                File clock = new File(cpus, "cpu" + number + "/cpufreq");
                String fastest = firstLine(new File(clock, "cpuinfo_max_freq"));
                String core = implementer + ":" + part + (fastest == null ? "" : "@" + fastest + "kHz");
                online.put(number, core);
                for (int sharing : numbers(own ? firstLine(new File(clock, "related_cpus")) : null)) {
                    cores.put(sharing, core);
                }
            }
        }
        cores.putAll(online);
        return cores;
    }

    /** The numbers of cores in a text, with spaces between; none if it is null. */
    private static List<Integer> numbers(@Nullable String text) {
        List<Integer> numbers = new ArrayList<>();
        for (String word : text == null ? new String[0] : text.trim().split("\\s+")) {
            if (word.matches("[0-9]{1,6}")) {
                numbers.add(Integer.valueOf(word));
            }
        }
        return numbers;
    }

    /**
     * What Android calls the system on chip, or before Android 12 the board and the device; empty elsewhere. By
     * reflection, since this part of the library runs on any JVM.
     */
    private static List<String> androidNames() {
        if (!"Dalvik".equals(System.getProperty("java.vm.name"))) {
            return Collections.emptyList();
        }
        List<String> names = new ArrayList<>();
        for (String field : new String[] {"SOC_MANUFACTURER", "SOC_MODEL"}) {
            addBuildField(names, field);
        }
        if (names.isEmpty()) {
            for (String field : new String[] {"HARDWARE", "MODEL"}) {
                addBuildField(names, field);
            }
        }
        return names;
    }

    private static void addBuildField(List<String> names, String field) {
        try {
            String value = (String) Class.forName("android.os.Build").getField(field).get(null);
            if (value != null && !value.isEmpty() && !value.equals("unknown")) {
                names.add(value);
            }
        } catch (ReflectiveOperationException e) {
            return; // an Android that does not know this field yet
        }
    }

    /** The first line of a file; null where it cannot be read. */
    static @Nullable String firstLine(File file) {
        try (BufferedReader in = reader(file)) {
            return in.readLine();
        } catch (IOException e) {
            return null; // not told here
        }
    }

    /** The first value of a field in a file of "key: value" lines; null if there is none. */
    private static @Nullable String field(File file, String key) {
        List<String> all = fields(file, key);
        return all.isEmpty() ? null : all.get(0);
    }

    private static List<String> fields(File file, String key) {
        List<String> values = new ArrayList<>();
        for (String line : lines(file)) {
            String value = value(line, key);
            if (value != null) {
                values.add(value);
            }
        }
        return values;
    }

    /** The value of a "key: value" line; null if it is none of this key. */
    private static @Nullable String value(String line, String key) {
        int colon = line.indexOf(':');
        return colon > 0 && line.substring(0, colon).trim().equals(key) ? line.substring(colon + 1).trim() : null;
    }

    private static List<String> lines(File file) {
        List<String> lines = new ArrayList<>();
        try (BufferedReader in = reader(file)) {
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                lines.add(line);
            }
        } catch (IOException e) {
            return lines; // not told here
        }
        return lines;
    }

    private static BufferedReader reader(File file) throws IOException {
        return new BufferedReader(new InputStreamReader(new FileInputStream(file), StandardCharsets.UTF_8));
    }
}
