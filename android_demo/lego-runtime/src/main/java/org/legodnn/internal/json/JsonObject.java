package org.legodnn.internal.json;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * A JSON object: members in the order written. Where a key is written twice the last one counts, as in Python; all of
 * them can still be looked at ({@link #all}).
 */
public final class JsonObject {
    private final Map<String, Object> members = new LinkedHashMap<>();
    private final List<Object> values = new ArrayList<>();

    /**
     * Add a member.
     *
     * @param key its name
     * @param value null, a String, Boolean, JsonNumber, Number, List or JsonObject
     * @return this
     */
    public JsonObject put(String key, Object value) {
        members.put(key, value);
        values.add(value);
        return this;
    }

    /** The value of a key; null if there is none, or if it is null. */
    public Object get(String key) {
        return members.get(key);
    }

    /** Whether there is such a key. */
    public boolean has(String key) {
        return members.containsKey(key);
    }

    /** The keys, each once. */
    public Set<String> keys() {
        return Collections.unmodifiableSet(members.keySet());
    }

    /** All values that were written, those of repeated keys included. */
    public List<Object> all() {
        return Collections.unmodifiableList(values);
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof JsonObject && ((JsonObject) other).members.equals(members);
    }

    @Override
    public int hashCode() {
        return members.hashCode();
    }

    /** The JSON text. */
    @Override
    public String toString() {
        return Json.write(this);
    }
}
