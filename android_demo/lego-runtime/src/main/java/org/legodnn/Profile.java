package org.legodnn;

import java.io.File;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;

import org.jspecify.annotations.Nullable;
import org.legodnn.internal.json.Bounds;
import org.legodnn.internal.json.Fields;
import org.legodnn.internal.json.Json;
import org.legodnn.internal.json.JsonException;
import org.legodnn.internal.json.JsonObject;

/**
 * What one device measured of one store: the JSON that {@code legodnn profile} and {@link Profiler} write. Times are in
 * milliseconds, memory in bytes. A profile fits one store and one device, and is refused for others.
 */
public final class Profile {
    static final String VERSION = "legodnn.profile/1";
    /** What to do where a measurement is missing or of no use. */
    static final String REMEDY = "measure again with `legodnn profile`, or on the device with Profiler";

    final String storeId;
    final String model;
    final Fingerprint device;
    final String created;
    final List<OptionProfile> options;
    final SortedMap<Integer, Double> chainOverheadMs;
    final List<Tail> tails;
    /** By the store of another model that runs without pause, how many times longer an inference takes beside it. */
    final Map<String, Double> contention;
    /** What the model holds more, in bytes, where other models are switched in the same process. */
    final long companyBytes;
    /** Options that were not measured and cannot be chosen: their keys. */
    private final Set<String> skipped;

    /** Parts that are kept and written again as they are, by field. */
    private final Map<String, Object> more;

    Profile(String storeId, String model, Fingerprint device, String created, List<OptionProfile> options,
            List<Tail> tails, SortedMap<Integer, Validator.Found> validated, @Nullable JsonObject conditions) {
        this.storeId = storeId;
        this.model = model;
        this.device = device;
        this.created = created;
        this.options = Collections.unmodifiableList(new ArrayList<>(options));
        this.tails = Collections.unmodifiableList(new ArrayList<>(tails));
        this.contention = Collections.emptyMap();
        this.companyBytes = 0;
        this.skipped = Collections.emptySet();
        this.more = new LinkedHashMap<>();
        SortedMap<Integer, Double> overheads = new TreeMap<>();
        List<JsonObject> chain = new ArrayList<>();
        List<JsonObject> validation = new ArrayList<>();
        for (Map.Entry<Integer, Validator.Found> one : validated.entrySet()) {
            double overhead = one.getValue().used.overheadMs();
            overheads.put(one.getKey(), overhead);
            chain.add(new JsonObject().put("threads", one.getKey()).put("overhead_ms", overhead));
            validation.add(one.getValue().validation);
        }
        this.chainOverheadMs = Collections.unmodifiableSortedMap(overheads);
        more.put("chain", chain);
        more.put("validation", validation);
        if (conditions != null) {
            more.put("conditions", conditions);
        }
    }

    private Profile(Fields document) {
        document.any("schema");
        storeId = document.name("store_id");
        model = document.name("model");
        device = Fingerprint.read(document.object("device"));
        created = document.text("created");
        List<OptionProfile> entries = new ArrayList<>();
        for (Fields entry : document.objects("options", 1, Bounds.CONTAINERS)) {
            entries.add(OptionProfile.read(entry));
        }
        options = Collections.unmodifiableList(entries);
        chainOverheadMs = Collections.unmodifiableSortedMap(chain(document));
        contention = Collections.unmodifiableMap(contention(document));
        companyBytes = document.has("company_bytes") ? document.integer("company_bytes", 0, Bounds.BYTES) : 0;
        skipped = skipped(document);
        tails = Tail.readAll(document);
        more = new LinkedHashMap<>();
        if (document.has("validation")) {
            document.objects("validation", 0, Bounds.THREADS);
        }
        for (String key : new String[] {"skipped", "chain", "validation", "contention", "company_bytes"}) {
            if (document.has(key)) {
                more.put(key, document.any(key));
            }
        }
        if (document.hasValue("pack_ms")) {
            more.put("pack_ms", document.number("pack_ms", 0, Bounds.MS));
        }
        for (String key : new String[] {"energy", "conditions", "streamed", "compact"}) {
            if (document.hasValue(key)) {
                document.object(key);
                more.put(key, document.any(key));
            }
        }
        document.end();
    }

    private Profile(Profile of, List<Tail> tails) {
        storeId = of.storeId;
        model = of.model;
        device = of.device;
        created = of.created;
        options = of.options;
        chainOverheadMs = of.chainOverheadMs;
        contention = of.contention;
        companyBytes = of.companyBytes;
        skipped = of.skipped;
        more = of.more;
        this.tails = Collections.unmodifiableList(tails);
    }

    private static SortedMap<Integer, Double> chain(Fields document) {
        SortedMap<Integer, Double> found = new TreeMap<>();
        if (document.has("chain")) {
            for (Fields entry : document.objects("chain", 0, Bounds.THREADS)) {
                int threads = entry.count("threads", 1, Bounds.THREADS);
                if (found.put(threads, entry.number("overhead_ms", 0, Bounds.MS)) != null) {
                    throw entry.error("two overheads for " + threads + " threads");
                }
            }
        }
        return found;
    }

    private static Map<String, Double> contention(Fields document) {
        Map<String, Double> found = new LinkedHashMap<>();
        if (document.has("contention")) {
            for (Fields entry : document.objects("contention", 0, Bounds.MODELS)) {
                entry.name("model");
                found.put(entry.name("store_id"), entry.number("slowdown", 1, Bounds.SLOWDOWN));
                entry.end();
            }
        }
        return found;
    }

    private static Set<String> skipped(Fields document) {
        Set<String> found = new HashSet<>();
        if (document.has("skipped")) {
            for (Fields entry : document.objects("skipped", 0, Bounds.CONTAINERS)) {
                entry.text("reason");
                found.add(key(entry.name("segment"), entry.name("option")));
            }
        }
        return found;
    }

    /**
     * Read a profile.
     * For a worker thread.
     *
     * @throws ProfileException it is unreadable, damaged or of another version
     */
    public static Profile load(File file) {
        try {
            return parse(Documents.utf8(Documents.read(file)), file.toString());
        } catch (IOException e) {
            throw new ProfileException("cannot read " + file + ": " + e.getMessage() + "; " + REMEDY, e);
        }
    }

    /**
     * A profile from its JSON text.
     *
     * @throws ProfileException it is damaged or of another version
     */
    public static Profile parse(String text) {
        return parse(text, "the profile");
    }

    private static Profile parse(String text, String name) {
        try {
            return new Profile(new Fields(Documents.parse(text, VERSION), ""));
        } catch (JsonException e) {
            throw new ProfileException(name + ": " + e.getMessage() + "; " + REMEDY, e);
        }
    }

    /** The JSON text, as {@code legodnn plan} reads it. */
    public String toJson() {
        List<JsonObject> entries = new ArrayList<>();
        for (OptionProfile option : options) {
            entries.add(option.toJson());
        }
        JsonObject json = new JsonObject().put("schema", VERSION).put("store_id", storeId).put("model", model)
                .put("device", device.toJson()).put("created", created).put("options", entries);
        if (!tails.isEmpty()) {
            List<JsonObject> measured = new ArrayList<>();
            for (Tail tail : tails) {
                measured.add(tail.toJson());
            }
            json.put("tail", measured);
        }
        for (Map.Entry<String, Object> part : more.entrySet()) {
            json.put(part.getKey(), part.getValue());
        }
        return Json.write(json);
    }

    /**
     * Write the profile; a crash leaves what was there, or the whole of it.
     * For a worker thread.
     *
     * @throws ProfileException it cannot be written
     */
    public void save(File file) {
        try {
            Documents.writeAtomic(file, toJson());
        } catch (IOException e) {
            throw new ProfileException("cannot write " + file + ": " + e.getMessage(), e);
        }
    }

    /**
     * Check that this profile was measured on a store and covers every option of it.
     *
     * @throws ProfileException it does not
     */
    public void checkStore(Store store) {
        if (!storeId.equals(store.id())) {
            throw new ProfileException("this profile was measured on another store than " + store.folder() + " (model '"
                    + model + "', store id " + brief(storeId) + " instead of " + brief(store.id()) + "); " + REMEDY);
        }
        Map<String, Integer> counts = new LinkedHashMap<>();
        for (Segment segment : store.manifest().segments) {
            for (Option option : segment.options) {
                counts.put(key(segment.name, option.name), -1);
            }
        }
        for (OptionProfile option : options) {
            String key = key(option.segment, option.option);
            counts.put(key, counts.containsKey(key) ? counts.get(key) + 1 : 1);
        }
        for (String key : skipped) {
            counts.put(key, counts.containsKey(key) ? counts.get(key) + 1 : 1);
        }
        for (Map.Entry<String, Integer> count : counts.entrySet()) {
            if (count.getValue() != 0) {
                throw new ProfileException("the profile of " + store.folder() + " does not have exactly one entry for "
                        + count.getKey().substring(count.getKey().indexOf(':') + 1) + "; " + REMEDY);
            }
        }
        for (Segment segment : store.manifest().segments) {
            if (skipped.contains(key(segment.name, segment.original().name))) {
                throw new ProfileException("the profile of " + store.folder() + " skips the original of " + segment.name
                        + "; " + REMEDY);
            }
        }
    }

    /** One text for an option of a segment; what names hold does not matter. */
    static String key(String segment, String option) {
        return segment.length() + ":" + segment + "/" + option;
    }

    /**
     * This profile with the tails that were learned in use, in place of older ones at these thread counts.
     *
     * @throws ProfileException they are of another store, device or profile
     */
    public Profile withLearned(Learned learned) {
        if (!learned.storeId.equals(storeId)) {
            throw new ProfileException("what was learned of '" + learned.model + "' is of another store than the"
                    + " profile (store id " + brief(learned.storeId) + " instead of " + brief(storeId)
                    + "); leave it out");
        }
        checkDevice(learned.device);
        if (learned.profiled != null && !learned.profiled.equals(created)) {
            throw new ProfileException("what was learned of '" + learned.model + "' is of another profile (of "
                    + learned.profiled + " instead of " + created + "), and multiplies the medians of that one alone;"
                    + " leave it out");
        }
        List<Tail> all = new ArrayList<>(tails);
        all.addAll(learned.tails());
        return new Profile(this, Tail.lastOfEach(all));
    }

    private static String brief(String hash) {
        return hash.length() > 12 ? hash.substring(0, 12) : hash;
    }

    /** Whether an option was not measured, for a reason that the profile gives, and so cannot be chosen. */
    public boolean skips(String segment, String option) {
        return skipped.contains(key(segment, option));
    }

    /**
     * Check that this profile was measured on such a device.
     *
     * @throws ProfileException it was not
     */
    public void checkDevice(Fingerprint here) {
        String difference = device.difference(here);
        if (difference != null) {
            throw new ProfileException("this profile of '" + model + "' was measured on another device (" + difference
                    + "); " + REMEDY);
        }
    }

    /** The store's id. */
    public String storeId() {
        return storeId;
    }

    /** The model's name. */
    public String model() {
        return model;
    }

    /** What it was measured on. */
    public Fingerprint device() {
        return device;
    }

    /** When, ISO 8601. */
    public String created() {
        return created;
    }

    /** One for each option that was measured. */
    public List<OptionProfile> options() {
        return options;
    }

    /** By thread count, what a whole inference takes more than its segments, in milliseconds; often empty. */
    public SortedMap<Integer, Double> chainOverheadMs() {
        return chainOverheadMs;
    }

    /** By the store of another model that runs without pause, how many times longer an inference takes beside it. */
    public Map<String, Double> contention() {
        return contention;
    }

    /** How much longer than predicted inferences take; empty if that was not measured. */
    public List<Tail> tails() {
        return tails;
    }
}
