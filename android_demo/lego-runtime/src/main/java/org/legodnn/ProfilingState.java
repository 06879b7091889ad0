package org.legodnn;

import java.io.File;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

import org.jspecify.annotations.Nullable;
import org.legodnn.internal.json.Bounds;
import org.legodnn.internal.json.Fields;
import org.legodnn.internal.json.Json;
import org.legodnn.internal.json.JsonException;
import org.legodnn.internal.json.JsonObject;

/** What a profiling has measured so far, in a file, so that one that was stopped or killed goes on where it was. */
final class ProfilingState {
    private static final String VERSION = "legodnn.profiling/7";

    /** Null to keep nothing. */
    private final @Nullable File file;
    private final String key;
    /** Null until all was weighed. */
    private @Nullable Map<Choice, Weigher.Weight> weights;
    private final Map<Integer, Validator.Found> timed = new LinkedHashMap<>();
    private List<String> warnings = new ArrayList<>();

    /**
     * What a file has, if it is of the same profiling.
     *
     * @param file null to keep nothing
     * @param key all that makes two profilings the same
     */
    ProfilingState(@Nullable File file, String key) {
        this.file = file;
        this.key = key;
        if (file == null || !file.exists()) {
            return;
        }
        try {
            Fields document = new Fields(Documents.parse(Documents.utf8(Documents.read(file)), VERSION), "");
            if (document.text("key").equals(key)) {
                read(document);
            }
        } catch (IOException | JsonException e) {
            weights = null; // damaged: measured anew
            timed.clear();
        }
    }

    private void read(Fields document) {
        Map<Choice, Weigher.Weight> weighed = new HashMap<>();
        for (Fields entry : document.objects("weights", 1, Bounds.CONTAINERS)) {
            weighed.put(choice(entry, 1), new Weigher.Weight(
                    entry.integer("memory_bytes", 0, Bounds.BYTES), entry.number("load_ms", 0, Bounds.MS)));
        }
        for (Fields entry : document.objects("timed", 0, Bounds.THREADS)) {
            int threads = entry.count("threads", 1, Bounds.THREADS);
            Map<Choice, Latency> latencies = new HashMap<>();
            for (Fields option : entry.objects("options", 1, Bounds.CONTAINERS)) {
                latencies.put(choice(option, threads), Latency.read(option.object("latency")));
            }
            InUse used = new InUse(entry.number("factor", 0, InUse.MOST_SLOPE),
                    entry.number("constant_ms", -Bounds.MS, Bounds.MS), entry.count("segments", 1, Integer.MAX_VALUE));
            timed.put(threads, new Validator.Found(used, latencies, (JsonObject) entry.any("validation"),
                    Tail.readAll(entry)));
        }
        warnings = document.strings("warnings", Bounds.CONTAINERS);
        weights = weighed;
    }

    private static Choice choice(Fields fields, int threads) {
        return new Choice(fields.name("segment"), fields.name("option"), threads);
    }

    /** What was weighed; null if that is still to be done. */
    @Nullable Map<Choice, Weigher.Weight> weights() {
        return weights;
    }

    /** What was timed at a thread count; null if that is still to be done. */
    Validator.@Nullable Found timed(int threads) {
        return timed.get(threads);
    }

    /** What disturbed what was measured so far. */
    List<String> warnings() {
        return warnings;
    }

    /** Keep what disturbed it: by itself, or with what is kept next. */
    void keep(List<String> disturbed) {
        warnings = disturbed;
        save();
    }

    /** Keep what was weighed. */
    void keep(Map<Choice, Weigher.Weight> weighed) {
        weights = weighed;
        save();
    }

    /** Keep what was timed at a thread count. */
    void keep(int threads, Validator.Found found) {
        timed.put(threads, found);
        save();
    }

    private void save() {
        if (file == null || weights == null) { // weighing comes first
            return;
        }
        List<JsonObject> weighed = new ArrayList<>();
        for (Map.Entry<Choice, Weigher.Weight> one : weights.entrySet()) {
            weighed.add(named(one.getKey()).put("memory_bytes", one.getValue().memoryBytes)
                    .put("load_ms", one.getValue().loadMs));
        }
        List<JsonObject> stages = new ArrayList<>();
        for (Map.Entry<Integer, Validator.Found> stage : timed.entrySet()) {
            List<JsonObject> options = new ArrayList<>();
            for (Map.Entry<Choice, Latency> one : stage.getValue().latencies.entrySet()) {
                options.add(named(one.getKey()).put("latency", one.getValue().toJson()));
            }
            List<JsonObject> tails = new ArrayList<>();
            for (Tail tail : stage.getValue().tails) {
                tails.add(tail.toJson());
            }
            InUse used = stage.getValue().used;
            stages.add(new JsonObject().put("threads", stage.getKey()).put("options", options).put("tail", tails)
                    .put("factor", used.factor).put("constant_ms", used.constantMs).put("segments", used.segments)
                    .put("validation", stage.getValue().validation));
        }
        try {
            Documents.writeAtomic(file, Json.write(new JsonObject().put("schema", VERSION).put("key", key)
                    .put("warnings", warnings).put("weights", weighed).put("timed", stages)));
        } catch (IOException e) {
            throw new ProfileException("cannot write " + file + ": " + e.getMessage(), e);
        }
    }

    private static JsonObject named(Choice choice) {
        return new JsonObject().put("segment", choice.segment).put("option", choice.option);
    }

    /** Remove the file: all was measured. */
    void end() {
        if (file != null && file.exists() && !file.delete()) {
            throw new ProfileException("cannot remove " + file);
        }
    }
}
