package org.legodnn;

import java.io.File;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

import org.jspecify.annotations.Nullable;
import org.legodnn.internal.Text;
import org.legodnn.internal.json.Bounds;
import org.legodnn.internal.json.Fields;
import org.legodnn.internal.json.Json;
import org.legodnn.internal.json.JsonException;
import org.legodnn.internal.json.JsonObject;

/**
 * What a governor learned of a model in use, the tails of its latency: the JSON that the Python package keeps as
 * {@code NAME.learned.json} too. It holds for one profile, and so for one store and one device. Immutable.
 *
 * <pre>
 * List&lt;Tail&gt; tails = governor.learned("faces");               // when the app is left; on a worker thread
 * if (!tails.isEmpty()) {
 *     Learned.of(profile, tails).save(file);
 * }
 * if (file.isFile()) {                                        // when it is started again
 *     try {
 *         profile = profile.withLearned(Learned.load(file));
 *     } catch (ProfileException e) {                          // of another store, device or profile, or damaged
 *         file.delete();
 *     }
 * }
 * </pre>
 */
public final class Learned {
    private static final String VERSION = "legodnn.learned/1";
    private static final String REMEDY = "leave it out";

    final String storeId;
    final String model;
    final Fingerprint device;
    /** When the profile was made whose latencies the tails are multiples of; null where that is not known. */
    final @Nullable String profiled;

    private final String created;
    private final List<Tail> tails;

    private Learned(String storeId, String model, Fingerprint device, String created, @Nullable String profiled,
            List<Tail> tails) {
        this.storeId = storeId;
        this.model = model;
        this.device = device;
        this.created = created;
        this.profiled = profiled;
        this.tails = Collections.unmodifiableList(new ArrayList<>(tails));
    }

    /**
     * What was learned since the profile of this device was made.
     *
     * @param profile the model's, by which it was planned; of the device that it ran on
     * @param tails by thread count, one at least: {@code Governor.learned}
     * @throws ProfileException there is none
     */
    public static Learned of(Profile profile, List<Tail> tails) {
        if (tails.isEmpty()) {
            throw new ProfileException("nothing was learned of '" + profile.model + "' yet; keep it later");
        }
        return new Learned(profile.storeId, profile.model, profile.device, Text.now("ss"), profile.created, tails);
    }

    /**
     * Read what was learned.
     * For a worker thread.
     *
     * @throws ProfileException it is unreadable, damaged or of another version
     */
    public static Learned load(File file) {
        try {
            return parse(Documents.utf8(Documents.read(file)), file.toString());
        } catch (IOException e) {
            throw new ProfileException("cannot read " + file + ": " + e.getMessage() + "; " + REMEDY, e);
        }
    }

    /**
     * What was learned, from its JSON text.
     *
     * @throws ProfileException it is damaged or of another version
     */
    public static Learned parse(String text) {
        return parse(text, "what was learned");
    }

    private static Learned parse(String text, String name) {
        try {
            Fields document = new Fields(Documents.parse(text, VERSION), "");
            document.any("schema");
            String storeId = document.name("store_id");
            String model = document.name("model");
            Fingerprint device = Fingerprint.read(document.object("device"));
            String created = document.text("created");
            String profiled = document.hasValue("profiled") ? document.text("profiled") : null;
            List<Tail> tails = new ArrayList<>();
            for (Fields tail : document.objects("tail", 1, Bounds.THREADS)) {
                tails.add(Tail.read(tail));
            }
            document.end();
            return new Learned(storeId, model, device, created, profiled, tails);
        } catch (JsonException e) {
            throw new ProfileException(name + ": " + e.getMessage() + "; " + REMEDY, e);
        }
    }

    /** The JSON text, as {@code legodnn profile --merge} reads it. */
    public String toJson() {
        List<JsonObject> entries = new ArrayList<>();
        for (Tail tail : tails) {
            entries.add(tail.toJson());
        }
        JsonObject document = new JsonObject().put("schema", VERSION).put("store_id", storeId).put("model", model)
                .put("device", device.toJson()).put("created", created);
        if (profiled != null) {
            document.put("profiled", profiled);
        }
        return Json.write(document.put("tail", entries));
    }

    /**
     * Write it; a crash leaves what was there, or the whole of it. What the file has of the same profile stays in it,
     * but for thread counts that no less was learned of now: up to as great a quantile.
     * For a worker thread.
     *
     * @throws ProfileException it cannot be written
     */
    public void save(File file) {
        try {
            Documents.writeAtomic(file, withKept(file).toJson());
        } catch (IOException e) {
            throw new ProfileException("cannot write " + file + ": " + e.getMessage(), e);
        }
    }

    private Learned withKept(File file) {
        Learned before;
        try {
            before = load(file);
        } catch (ProfileException e) {
            return this; // there is none, or it is damaged: it would be of no use
        }
        if (!before.storeId.equals(storeId) || !before.device.equals(device)
                || !Objects.equals(before.profiled, profiled)) {
            return this;
        }
        Map<Integer, Tail> all = new LinkedHashMap<>();
        for (Tail tail : before.tails) {
            all.put(tail.threads, tail);
        }
        for (Tail tail : tails) {
            Tail known = all.get(tail.threads);
            if (known == null || tail.stretch.lastKey() >= known.stretch.lastKey()) {
                all.put(tail.threads, tail);
            }
        }
        return new Learned(storeId, model, device, created, profiled, new ArrayList<>(all.values()));
    }

    /** By thread count. */
    public List<Tail> tails() {
        return tails;
    }
}
