package org.legodnn.internal.json;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * One JSON object, read field by field and strictly: a field that is missing, of another type or out of its range is an
 * error that names the place, and so is a field that nobody asked for ({@link #end}).
 */
public final class Fields {
    private final JsonObject object;
    private final String where;
    private final Set<String> asked = new HashSet<>();

    /**
     * @param value what should be an object
     * @param where its place in the document, such as "segments.0"; "" for the document itself
     */
    public Fields(Object value, String where) {
        this.where = where;
        if (!(value instanceof JsonObject)) {
            throw new JsonException(place(where) + ": must be an object, got " + shown(value));
        }
        this.object = (JsonObject) value;
    }

    private static String place(String where) {
        return where.isEmpty() ? "document" : where;
    }

    private static String shown(Object value) {
        if (value instanceof List || value instanceof JsonObject) {
            return value instanceof List ? "a list" : "an object";
        }
        String text = String.valueOf(value);
        return text.length() > 60 ? text.substring(0, 60) : text;
    }

    /** An error about this object. */
    public JsonException error(String what) {
        return new JsonException(place(where) + ": " + what);
    }

    private JsonException wrong(String key, String wanted) {
        String path = where.isEmpty() ? key : where + "." + key;
        String problem = object.has(key) ? wanted + ", got " + shown(object.get(key)) : "missing";
        return new JsonException(path + ": " + problem);
    }

    /** Whether the field is there; it counts as asked for. */
    public boolean has(String key) {
        asked.add(key);
        return object.has(key);
    }

    /** Whether the field is there and not null; it counts as asked for. */
    public boolean hasValue(String key) {
        return has(key) && object.get(key) != null;
    }

    /** A field of any type. */
    public Object any(String key) {
        asked.add(key);
        if (!object.has(key)) {
            throw wrong(key, "");
        }
        return object.get(key);
    }

    /** Text. */
    public String string(String key) {
        Object value = any(key);
        if (!(value instanceof String)) {
            throw wrong(key, "must be a string");
        }
        return (String) value;
    }

    /** Text of at most {@link Bounds#TEXT} characters. */
    public String text(String key) {
        return checkText(string(key), key);
    }

    private String checkText(String value, String key) {
        if (value.codePointCount(0, value.length()) > Bounds.TEXT) {
            throw wrong(key, "must have at most " + Bounds.TEXT + " characters");
        }
        return value;
    }

    /** Text of 1 to 200 characters. */
    public String name(String key) {
        return checkLength(string(key), key, Bounds.NAME);
    }

    /** Text of 1 to 4096 characters. */
    public String path(String key) {
        return checkLength(string(key), key, Bounds.PATH);
    }

    private String checkLength(String value, String key, int most) {
        int length = value.codePointCount(0, value.length());
        if (length < 1 || length > most) {
            throw wrong(key, "must have 1 to " + most + " characters");
        }
        return value;
    }

    /** Text of a pattern. */
    public String string(String key, Pattern pattern) {
        String value = string(key);
        if (!pattern.matcher(value).matches()) {
            throw wrong(key, "must match " + pattern);
        }
        return value;
    }

    /** One of some words. */
    public String word(String key, String... words) {
        Object value = any(key);
        if (!Arrays.asList(words).contains(value)) {
            throw wrong(key, "must be one of " + Arrays.toString(words));
        }
        return (String) value;
    }

    /** true or false. */
    public boolean flag(String key) {
        Object value = any(key);
        if (!(value instanceof Boolean)) {
            throw wrong(key, "must be true or false");
        }
        return (Boolean) value;
    }

    /** A finite number. */
    public double number(String key) {
        return toNumber(any(key), key);
    }

    private double toNumber(Object value, String key) {
        if (!(value instanceof JsonNumber)) {
            throw wrong(key, "must be a number");
        }
        double number = ((JsonNumber) value).doubleValue();
        if (Double.isInfinite(number)) {
            throw wrong(key, "must be finite");
        }
        return number;
    }

    /** A number from `least` to `most`. */
    public double number(String key, double least, double most) {
        return toNumber(any(key), key, least, most);
    }

    private double toNumber(Object value, String key, double least, double most) {
        double number = toNumber(value, key);
        if (!(number >= least && number <= most)) {
            throw wrong(key, "must be from " + least + " to " + most);
        }
        return number;
    }

    /** A number above zero, at most {@link Bounds#SUM}. */
    public double positive(String key) {
        double value = number(key);
        if (!(value > 0 && value <= Bounds.SUM)) {
            throw wrong(key, "must be greater than 0 and at most " + Bounds.SUM);
        }
        return value;
    }

    /** An integer from `least` to `most`. */
    public long integer(String key, long least, long most) {
        return toInteger(any(key), key, least, most);
    }

    private long toInteger(Object value, String key, long least, long most) {
        if (!(value instanceof JsonNumber) || !((JsonNumber) value).isInteger()) {
            throw wrong(key, "must be an integer");
        }
        long number = ((JsonNumber) value).longValue();
        if (number < least || number > most) {
            throw wrong(key, "must be from " + least + " to " + most);
        }
        return number;
    }

    /** The same as an int. */
    public int count(String key, int least, int most) {
        return (int) integer(key, least, most);
    }

    /** A list. */
    public List<?> list(String key) {
        Object value = any(key);
        if (!(value instanceof List)) {
            throw wrong(key, "must be a list");
        }
        return (List<?>) value;
    }

    private List<?> list(String key, int fewest, int most) {
        List<?> found = list(key);
        if (found.size() < fewest || found.size() > most) {
            throw wrong(key, "must have " + fewest + " to " + most + " entries");
        }
        return found;
    }

    /** A list of `fewest` to `longest` numbers from `least` to `most`. */
    public double[] numbers(String key, int fewest, int longest, double least, double most) {
        List<?> found = list(key, fewest, longest);
        double[] numbers = new double[found.size()];
        for (int i = 0; i < numbers.length; i++) {
            numbers[i] = toNumber(found.get(i), key, least, most);
        }
        return numbers;
    }

    /** A list of lists of at most `longest` numbers, from -`most` to `most`. */
    public List<List<Double>> rows(String key, int longest, double most) {
        List<List<Double>> rows = new ArrayList<>();
        for (Object row : list(key, 0, longest)) {
            if (!(row instanceof List) || ((List<?>) row).size() > longest) {
                throw wrong(key, "must be a list of lists of at most " + longest + " numbers");
            }
            List<Double> numbers = new ArrayList<>();
            for (Object value : (List<?>) row) {
                numbers.add(toNumber(value, key, -most, most));
            }
            rows.add(Collections.unmodifiableList(numbers));
        }
        return Collections.unmodifiableList(rows);
    }

    /** A list of at most `longest` integers, each at least `least`. */
    public int[] counts(String key, int least, int longest) {
        List<?> found = list(key, 0, longest);
        int[] counts = new int[found.size()];
        for (int i = 0; i < counts.length; i++) {
            counts[i] = (int) toInteger(found.get(i), key, least, Integer.MAX_VALUE);
        }
        return counts;
    }

    /** A list of at most `most` texts. */
    public List<String> strings(String key, int most) {
        List<String> strings = new ArrayList<>();
        for (Object value : list(key, 0, most)) {
            if (!(value instanceof String)) {
                throw wrong(key, "must be a list of strings");
            }
            strings.add(checkText((String) value, key));
        }
        return Collections.unmodifiableList(strings);
    }

    /** A list of texts of 1 to 200 characters. */
    public List<String> names(String key, int fewest, int most) {
        list(key, fewest, most);
        List<String> names = strings(key, most);
        for (String name : names) {
            checkLength(name, key, Bounds.NAME);
        }
        return names;
    }

    /** An object. */
    public Fields object(String key) {
        return new Fields(any(key), where.isEmpty() ? key : where + "." + key);
    }

    /** A list of `fewest` to `most` objects. */
    public List<Fields> objects(String key, int fewest, int most) {
        List<Fields> objects = new ArrayList<>();
        for (Object value : list(key, fewest, most)) {
            objects.add(new Fields(value, (where.isEmpty() ? key : where + "." + key) + "." + objects.size()));
        }
        return objects;
    }

    /** The object itself. */
    public JsonObject raw() {
        return object;
    }

    /** Refuse fields that nobody asked for. */
    public void end() {
        for (String key : object.keys()) {
            if (!asked.contains(key)) {
                throw wrong(key, "unknown field");
            }
        }
    }
}
