package org.legodnn.internal.json;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * JSON as RFC 8259 has it, and no more: no NaN, no comments, no text after the document, no unpaired surrogates, at
 * most 200 containers inside one another, and within {@link Bounds}. What Python's reader of the same documents refuses
 * is refused, and what it takes is taken.
 *
 * <p>Values are null, String, Boolean, {@link JsonNumber}, List and {@link JsonObject}.
 */
public final class Json {
    /** Python converts no longer ones. */
    private static final int MOST_DIGITS = 4300;

    private final String text;
    private int at;

    private Json(String text) {
        this.text = text;
    }

    /**
     * Read a document.
     *
     * @throws JsonException it is no JSON
     */
    public static Object parse(String text) {
        checkExtent(text);
        Json reader = new Json(text);
        reader.space();
        Object value = reader.value(0);
        reader.space();
        if (reader.at < text.length()) {
            throw reader.error("text after the document");
        }
        return value;
    }

    private static void checkExtent(String text) {
        int containers = 0;
        int commas = 0;
        int colons = 0;
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            containers += c == '[' || c == '{' ? 1 : 0;
            commas += c == ',' ? 1 : 0;
            colons += c == ':' ? 1 : 0;
        }
        if (containers > Bounds.CONTAINERS) {
            throw new JsonException("more than " + Bounds.CONTAINERS + " lists and objects");
        }
        if (colons > Bounds.FIELDS) {
            throw new JsonException("more than " + Bounds.FIELDS + " named fields");
        }
        if (containers + commas > Bounds.VALUES) {
            throw new JsonException("more than " + Bounds.VALUES + " values");
        }
    }

    private Object value(int depth) {
        if (at >= text.length()) {
            throw error("the text ends too early");
        }
        switch (text.charAt(at)) {
            case '{':
                return object(depth);
            case '[':
                return list(depth);
            case '"':
                return string();
            case 't':
                return word("true", Boolean.TRUE);
            case 'f':
                return word("false", Boolean.FALSE);
            case 'n':
                return word("null", null);
            default:
                return number();
        }
    }

    private JsonObject object(int depth) {
        JsonObject found = new JsonObject();
        at++;
        space();
        if (next('}')) {
            return found;
        }
        checkDepth(depth);
        do {
            space();
            if (at >= text.length() || text.charAt(at) != '"') {
                throw error("a key in double quotes is missing");
            }
            String key = string();
            space();
            if (!next(':')) {
                throw error("':' is missing");
            }
            space();
            found.put(key, value(depth + 1));
            space();
        } while (next(','));
        if (!next('}')) {
            throw error("',' or '}' is missing");
        }
        return found;
    }

    private List<Object> list(int depth) {
        List<Object> found = new ArrayList<>();
        at++;
        space();
        if (next(']')) {
            return found;
        }
        checkDepth(depth);
        do {
            space();
            found.add(value(depth + 1));
            space();
        } while (next(','));
        if (!next(']')) {
            throw error("',' or ']' is missing");
        }
        return found;
    }

    private void checkDepth(int depth) {
        if (depth >= Bounds.DEPTH) {
            throw error("more than " + Bounds.DEPTH + " objects and lists inside one another");
        }
    }

    private String string() {
        at++;
        int start = at;
        StringBuilder found = null; // only if there is anything to replace
        while (at < text.length()) {
            char c = text.charAt(at);
            if (c == '"') {
                String plain = text.substring(start, at++);
                return found == null ? plain : found.append(plain).toString();
            }
            if (c < ' ') {
                throw error("a control character in a string");
            }
            if (c == '\\') {
                found = found == null ? new StringBuilder() : found;
                found.append(text, start, at);
                escape(found);
                start = at;
            } else {
                at++;
            }
        }
        throw error("a string does not end");
    }

    private void escape(StringBuilder found) {
        char c = at + 1 < text.length() ? text.charAt(at + 1) : 0;
        int known = "\"\\/bfnrt".indexOf(c);
        if (known >= 0) {
            found.append("\"\\/\b\f\n\r\t".charAt(known));
            at += 2;
            return;
        }
        if (c != 'u') {
            throw error("an unknown escape");
        }
        char first = hex();
        if (Character.isLowSurrogate(first)) {
            throw error("an unpaired surrogate");
        }
        found.append(first);
        if (Character.isHighSurrogate(first)) {
            char second = text.startsWith("\\u", at) ? hex() : 0;
            if (!Character.isLowSurrogate(second)) {
                throw error("an unpaired surrogate");
            }
            found.append(second);
        }
    }

    /** The character of a {@code \\uXXXX} that begins here. */
    private char hex() {
        int code = 0;
        for (int i = at + 2; i < at + 6; i++) {
            char c = i < text.length() ? text.charAt(i) : 0;
            int digit = c < 128 ? Character.digit(c, 16) : -1;
            if (digit < 0) {
                throw error("four hexadecimal digits are missing");
            }
            code = code << 4 | digit;
        }
        at += 6;
        return (char) code;
    }

    private Object word(String word, Object value) {
        if (!text.startsWith(word, at)) {
            throw error("no JSON value");
        }
        at += word.length();
        return value;
    }

    private JsonNumber number() {
        int start = at;
        next('-');
        int digits = at;
        if (!next('0') && digits() == 0) {
            at = start;
            throw error("no JSON value");
        }
        int count = at - digits;
        boolean integer = true;
        if (at + 1 < text.length() && text.charAt(at) == '.' && isDigit(text.charAt(at + 1))) {
            at++;
            digits();
            integer = false;
        }
        if (at < text.length() && (text.charAt(at) == 'e' || text.charAt(at) == 'E')) {
            int before = at++;
            if (!next('+')) {
                next('-');
            }
            if (digits() == 0) {
                at = before;
                throw error("an exponent without digits");
            }
            integer = false;
        }
        if (integer && count > MOST_DIGITS) {
            throw error("an integer of more than " + MOST_DIGITS + " digits");
        }
        return new JsonNumber(text.substring(start, at), integer);
    }

    private int digits() {
        int start = at;
        while (at < text.length() && isDigit(text.charAt(at))) {
            at++;
        }
        return at - start;
    }

    private static boolean isDigit(char c) {
        return c >= '0' && c <= '9';
    }

    private boolean next(char c) {
        if (at < text.length() && text.charAt(at) == c) {
            at++;
            return true;
        }
        return false;
    }

    private void space() {
        while (at < text.length() && " \t\n\r".indexOf(text.charAt(at)) >= 0) {
            at++;
        }
    }

    private JsonException error(String what) {
        int line = 1;
        int column = 1;
        for (int i = 0; i < at && i < text.length(); i++) {
            boolean ends = text.charAt(i) == '\n';
            line += ends ? 1 : 0;
            column = ends ? 1 : column + 1;
        }
        return new JsonException(what + ": line " + line + " column " + column);
    }

    /**
     * The text of a document, indented, ending in a newline.
     *
     * @param value null, a String, Boolean, JsonNumber, Number, Iterable, Map or JsonObject
     * @throws JsonException a number is NaN or infinite, or a value is something else
     */
    public static String write(Object value) {
        StringBuilder out = new StringBuilder();
        write(value, 0, out);
        return out.append('\n').toString();
    }

    private static void write(Object value, int depth, StringBuilder out) {
        if (value instanceof String) {
            quote((String) value, out);
        } else if (value instanceof Double || value instanceof Float) {
            double number = ((Number) value).doubleValue();
            if (Double.isNaN(number) || Double.isInfinite(number)) {
                throw new JsonException(number + " is no JSON number");
            }
            out.append(number);
        } else if (value == null || value instanceof Boolean || value instanceof Number
                || value instanceof JsonNumber) {
            out.append(value);
        } else if (value instanceof JsonObject) {
            JsonObject object = (JsonObject) value;
            char separator = '{';
            for (String key : object.keys()) {
                begin(separator, depth, out);
                quote(key, out);
                write(object.get(key), depth + 1, out.append(": "));
                separator = ',';
            }
            end(separator == '{', "{", '}', depth, out);
        } else if (value instanceof Map) {
            JsonObject object = new JsonObject();
            for (Map.Entry<?, ?> member : ((Map<?, ?>) value).entrySet()) {
                object.put(String.valueOf(member.getKey()), member.getValue());
            }
            write(object, depth, out);
        } else if (value instanceof Iterable) {
            char separator = '[';
            for (Object element : (Iterable<?>) value) {
                begin(separator, depth, out);
                write(element, depth + 1, out);
                separator = ',';
            }
            end(separator == '[', "[", ']', depth, out);
        } else {
            throw new JsonException(value.getClass() + " cannot be written as JSON");
        }
    }

    private static void begin(char separator, int depth, StringBuilder out) {
        out.append(separator);
        line(depth + 1, out);
    }

    private static void end(boolean empty, String open, char close, int depth, StringBuilder out) {
        if (empty) {
            out.append(open);
        } else {
            line(depth, out);
        }
        out.append(close);
    }

    private static void line(int depth, StringBuilder out) {
        char[] spaces = new char[depth];
        Arrays.fill(spaces, ' ');
        out.append('\n').append(spaces);
    }

    private static void quote(String value, StringBuilder out) {
        out.append('"');
        for (int i = 0; i < value.length(); i++) {
            char c = value.charAt(i);
            int known = "\"\\\b\f\n\r\t".indexOf(c);
            if (known >= 0) {
                out.append('\\').append("\"\\bfnrt".charAt(known));
            } else if (c < ' ') {
                out.append(String.format("\\u%04x", (int) c));
            } else {
                out.append(c);
            }
        }
        out.append('"');
    }
}
