package org.legodnn;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

import org.jspecify.annotations.Nullable;
import org.legodnn.internal.json.Bounds;
import org.legodnn.internal.json.Fields;
import org.legodnn.internal.json.JsonObject;

/**
 * What was measured of one option of one segment. A profile may also say, for more exact plans elsewhere, what the
 * option adds beside a workspace that all options share: it is kept here, and plans are made with sums.
 */
public final class OptionProfile {
    final String segment;
    final String option;
    final long memoryBytes;
    final double loadMs;
    final List<Latency> latency;
    final @Nullable Double energyMj;
    private final @Nullable Long ownBytes;
    private final @Nullable Long workspaceBytes;

    OptionProfile(String segment, String option, long memoryBytes, double loadMs, List<Latency> latency,
            @Nullable Double energyMj) {
        this(segment, option, memoryBytes, loadMs, latency, energyMj, null, null);
    }

    private OptionProfile(String segment, String option, long memoryBytes, double loadMs, List<Latency> latency,
            @Nullable Double energyMj, @Nullable Long ownBytes, @Nullable Long workspaceBytes) {
        this.segment = segment;
        this.option = option;
        this.memoryBytes = memoryBytes;
        this.loadMs = loadMs;
        this.latency = Collections.unmodifiableList(new ArrayList<>(latency));
        this.energyMj = energyMj;
        this.ownBytes = ownBytes;
        this.workspaceBytes = workspaceBytes;
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
                fields.hasValue("energy_mj") ? fields.number("energy_mj", 0, Bounds.METRIC) : null,
                bytes(fields, "own_bytes"), bytes(fields, "workspace_bytes"));
        if ((found.ownBytes == null) != (found.workspaceBytes == null)) {
            throw fields.error("only one of own_bytes and workspace_bytes");
        }
        fields.end();
        return found;
    }

    private static @Nullable Long bytes(Fields fields, String key) {
        return fields.hasValue(key) ? fields.integer(key, 0, Bounds.BYTES) : null;
    }

    JsonObject toJson() {
        List<JsonObject> entries = new ArrayList<>();
        for (Latency entry : latency) {
            entries.add(entry.toJson());
        }
        JsonObject json = new JsonObject().put("segment", segment).put("option", option)
                .put("memory_bytes", memoryBytes).put("load_ms", loadMs).put("latency", entries);
        if (ownBytes != null) {
            json.put("own_bytes", ownBytes).put("workspace_bytes", workspaceBytes);
        }
        return energyMj == null ? json : json.put("energy_mj", energyMj);
    }

    /** The segment's name. */
    public String segment() {
        return segment;
    }

    /** The option's name. */
    public String option() {
        return option;
    }

    /** What it adds to the process's memory in a running composition, in bytes. */
    public long memoryBytes() {
        return memoryBytes;
    }

    /** From deciding for it to its being ready. */
    public double loadMs() {
        return loadMs;
    }

    /** One for each thread count. */
    public List<Latency> latency() {
        return latency;
    }

    /** Energy of one run in millijoules; null if the device does not tell. */
    public @Nullable Double energyMj() {
        return energyMj;
    }
}
