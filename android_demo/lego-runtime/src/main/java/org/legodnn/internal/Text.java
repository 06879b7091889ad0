package org.legodnn.internal;

import java.math.BigDecimal;
import java.math.MathContext;
import java.math.RoundingMode;
import java.text.SimpleDateFormat;
import java.util.Date;
import java.util.Locale;
import java.util.TimeZone;

/** Figures, names and times as messages and documents show them. */
public final class Text {
    private Text() {}

    /** "a, b, c". */
    public static String list(Iterable<?> items) {
        StringBuilder text = new StringBuilder();
        for (Object item : items) {
            text.append(text.length() == 0 ? "" : ", ").append(item);
        }
        return text.toString();
    }

    /** A number to so many significant digits, without zeros at the end. */
    public static String significant(double value, int digits) {
        if (value == 0 || Double.isNaN(value) || Double.isInfinite(value)) {
            return value == 0 ? "0" : String.valueOf(value);
        }
        BigDecimal rounded = new BigDecimal(value).round(new MathContext(digits, RoundingMode.HALF_EVEN));
        int exponent = rounded.precision() - rounded.scale() - 1;
        if (exponent >= -4 && exponent < digits) {
            return rounded.stripTrailingZeros().toPlainString();
        }
        String mantissa = rounded.movePointLeft(exponent).stripTrailingZeros().toPlainString();
        return mantissa + String.format(Locale.ROOT, "e%+03d", exponent);
    }

    /** A number in so many significant digits, rounded to one side, without zeros at its end. */
    public static String rounded(double value, int digits, RoundingMode mode) {
        return rounded(new BigDecimal(value), digits, mode);
    }

    public static String rounded(BigDecimal value, int digits, RoundingMode mode) {
        return value.signum() == 0 ? "0"
                : value.round(new MathContext(digits, mode)).stripTrailingZeros().toPlainString();
    }

    /** Bytes for people: 1234567 -> "1.23 MB" (decimal units). */
    public static String size(double bytes) {
        String[] units = {"GB", "MB", "kB"};
        double[] scales = {1e9, 1e6, 1e3};
        for (int i = 0; i < units.length; i++) {
            if (Math.abs(bytes) >= scales[i]) {
                double count = bytes / scales[i];
                return (Math.abs(count) < 100 ? significant(count, 3) : whole(count)) + " " + units[i];
            }
        }
        return whole(bytes) + " B";
    }

    /** The time now in UTC as ISO 8601 has it; `seconds` is how they are written, "ss" or "ss.SSS". */
    public static String now(String seconds) {
        SimpleDateFormat utc = new SimpleDateFormat("yyyy-MM-dd'T'HH:mm:" + seconds + "'+00:00'", Locale.ROOT);
        utc.setTimeZone(TimeZone.getTimeZone("UTC"));
        return utc.format(new Date());
    }

    /** Without a fraction. */
    public static String whole(double value) {
        return new BigDecimal(value).setScale(0, RoundingMode.HALF_EVEN).toPlainString();
    }
}
