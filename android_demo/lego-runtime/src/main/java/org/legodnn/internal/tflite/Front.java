package org.legodnn.internal.tflite;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;

import org.jspecify.annotations.Nullable;

/**
 * The beginning of a flatbuffer whose rest is there already. Offsets of the format lead forward, except that from a
 * table to the list of its fields; so what is written leads to what is written later, or to what lies behind all of it.
 */
final class Front {
    /** What follows the front begins at a multiple of this, more than any of TensorFlow Lite's vectors ask for. */
    static final int ALIGNMENT = 64;

    private ByteBuffer content = ByteBuffer.allocate(1 << 16).order(ByteOrder.LITTLE_ENDIAN);
    private final List<long[]> behind = new ArrayList<>();

    /** One field of a table: a number, or an offset. */
    static final class Field {
        /** An offset to what is written later. */
        static final Field LATER = new Field(4, 0, false);

        final int width;
        final long value;
        final boolean behind;

        private Field(int width, long value, boolean behind) {
            this.width = width;
            this.value = value;
            this.behind = behind;
        }

        /** @param width its bytes: 1, 2, 4 or 8 */
        static Field number(int width, long value) {
            return new Field(width, value, false);
        }

        /** An offset to a place behind the front, counted from there. */
        static Field behind(long place) {
            return new Field(4, place, true);
        }
    }

    /** @param identifier the four characters that such files have at byte 4 */
    Front(String identifier) {
        content.position(4);
        content.put(identifier.getBytes(UTF_8));
    }

    /** Append zeros until what follows after so many more bytes begins at a multiple of a size. */
    private void align(int size, int ahead) {
        reserve(Math.floorMod(-(content.position() + ahead), size));
    }

    /** Append so many zeros; returns where they begin. */
    private int reserve(int size) {
        int start = content.position();
        while (content.remaining() < size) {
            ByteBuffer larger = ByteBuffer.allocate(2 * content.capacity()).order(ByteOrder.LITTLE_ENDIAN);
            content.flip();
            content = larger.put(content);
        }
        content.position(start + size);
        return start;
    }

    /** Let the offset at a place lead to what is written next. */
    private void pointHere(int slot) {
        content.putInt(slot, content.position() - slot);
    }

    private void pointBehind(int slot, long place) {
        behind.add(new long[] {slot, place});
    }

    /**
     * Append a table.
     *
     * @param slot the place of the offset that leads to it; 0 for the root table
     * @param fields in the order of their numbers; null where there is none
     * @return the place of each field; 0 where there is none
     */
    int[] table(int slot, @Nullable Field... fields) {
        int[] places = new int[fields.length];
        int size = 4;
        for (int i = 0; i < fields.length; i++) {
            Field field = fields[i];
            if (field != null) {
                places[i] = size + Math.floorMod(-size, field.width);
                size = places[i] + field.width;
            }
        }
        int listed = 4 + 2 * fields.length;
        align(8, listed);
        int list = reserve(listed);
        content.putShort(list, (short) listed).putShort(list + 2, (short) size);
        pointHere(slot);
        int table = reserve(size);
        content.putInt(table, table - list);
        for (int i = 0; i < fields.length; i++) {
            Field field = fields[i];
            if (field != null) {
                content.putShort(list + 4 + 2 * i, (short) places[i]);
                places[i] += table;
                put(places[i], field);
            }
        }
        return places;
    }

    private void put(int place, Field field) {
        if (field.behind) {
            pointBehind(place, field.value);
        } else if (field.width == 1) {
            content.put(place, (byte) field.value);
        } else if (field.width == 2) {
            content.putShort(place, (short) field.value);
        } else if (field.width == 4) {
            content.putInt(place, (int) field.value);
        } else {
            content.putLong(place, field.value);
        }
    }

    /** Append a vector of so many offsets, which {@link #table} and the like fill in; returns their places. */
    int[] offsets(int slot, int count) {
        align(4, 0);
        pointHere(slot);
        int start = reserve(4 + 4 * count);
        content.putInt(start, count);
        int[] places = new int[count];
        for (int i = 0; i < count; i++) {
            places[i] = start + 4 + 4 * i;
        }
        return places;
    }

    /** Append a vector of offsets to places behind the front, counted from there. */
    void offsets(int slot, List<Long> places) {
        int[] slots = offsets(slot, places.size());
        for (int i = 0; i < slots.length; i++) {
            pointBehind(slots[i], places.get(i));
        }
    }

    /** Append a string. */
    void string(int slot, String text) {
        byte[] bytes = text.getBytes(UTF_8);
        align(4, 0);
        pointHere(slot);
        int start = reserve(4 + bytes.length + 1);
        content.putInt(start, bytes.length);
        for (int i = 0; i < bytes.length; i++) {
            content.put(start + 4 + i, bytes[i]);
        }
    }

    /** The front, whole and aligned: its size is where what lies behind it begins. */
    ByteBuffer finish() {
        align(ALIGNMENT, 0);
        for (long[] offset : behind) {
            content.putInt((int) offset[0], Math.toIntExact(content.position() + offset[1] - offset[0]));
        }
        content.flip();
        return content;
    }
}
