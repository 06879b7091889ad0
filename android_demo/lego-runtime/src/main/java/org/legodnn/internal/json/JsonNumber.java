package org.legodnn.internal.json;

/**
 * A number as it was written. What was written with neither fraction nor exponent is an integer, and nothing else is:
 * 1.0 is none.
 */
public final class JsonNumber {
    private final String text;
    private final boolean integer;

    JsonNumber(String text, boolean integer) {
        this.text = text;
        this.integer = integer;
    }

    /** Whether it was written as an integer. */
    public boolean isInteger() {
        return integer;
    }

    /** The nearest double; infinite if it is out of range. */
    public double doubleValue() {
        return Double.parseDouble(text) + 0.0; // the sum makes 0 of -0
    }

    /** An integer's value; the nearest long if it is out of range. */
    public long longValue() {
        try {
            return Long.parseLong(text);
        } catch (NumberFormatException tooLong) {
            return text.charAt(0) == '-' ? Long.MIN_VALUE : Long.MAX_VALUE;
        }
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof JsonNumber && ((JsonNumber) other).text.equals(text);
    }

    @Override
    public int hashCode() {
        return text.hashCode();
    }

    /** As it was written. */
    @Override
    public String toString() {
        return text;
    }
}
