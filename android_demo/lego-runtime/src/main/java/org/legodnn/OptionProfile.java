package org.legodnn;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

import org.legodnn.json.Bounds;
import org.legodnn.json.Fields;
import org.legodnn.json.JsonObject;

/** What was measured of one option of one segment. */
public final class OptionProfile {
    /** The segment's name. */
    public final String segment;
    /** The option's name. */
    public final String option;
    /** What it adds to the process's memory in a running composition, in bytes. */
    public final long memoryBytes;
    /** From deciding for it to its being ready. */
    public final double loadMs;
    /** One for each thread count. */
    public final List<Latency> latency;
    /** Energy of one run in millijoules; null if the device does not tell. */
    public final Double energyMj;

    OptionProfile(String segment, String option, long memoryBytes, double loadMs, List<Latency> latency,
            Double energyMj) {
        this.segment = segment;
        this.option = option;
        this.memoryBytes = memoryBytes;
        this.loadMs = loadMs;
        this.latency = Collections.unmodifiableList(new ArrayList<>(latency));
        this.energyMj = energyMj;
    }

    static OptionProfile read(Fields fields) {
        List<Latency> latency = new ArrayList<>();
        Set<Integer> threads = new HashSet<>();
        for (Fields entry : fields.objects("latency", 1, Bounds.THREADS)) {
            latency.add(Latency.read(entry));
            if (!threads.add(latency.get(latency.size() - 1).threads)) {
                throw fields.error("two latencies for one thread count");
            }
        }
        OptionProfile found = new OptionProfile(fields.name("segment"), fields.name("option"),
                fields.integer("memory_bytes", 0, Bounds.BYTES), fields.number("load_ms", 0, Bounds.MS), latency,
                fields.hasValue("energy_mj") ? fields.number("energy_mj", 0, Bounds.METRIC) : null);
        fields.end();
        return found;
    }

    JsonObject toJson() {
        List<JsonObject> entries = new ArrayList<>();
        for (Latency entry : latency) {
            entries.add(entry.toJson());
        }
        JsonObject json = new JsonObject().put("segment", segment).put("option", option)
                .put("memory_bytes", memoryBytes).put("load_ms", loadMs).put("latency", entries);
        return energyMj == null ? json : json.put("energy_mj", energyMj);
    }
}
