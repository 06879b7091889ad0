package org.legodnn.internal.tflite;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * The tables of a flatbuffer, by the places where they begin. What leads out of the content is an
 * {@link IndexOutOfBoundsException}.
 */
final class Tables {
    final ByteBuffer content;

    /** @param content a whole file; its position and order are left as they are */
    Tables(ByteBuffer content) {
        this.content = content.duplicate().order(ByteOrder.LITTLE_ENDIAN);
    }

    /** The root table. */
    int root() {
        return ledTo(0);
    }

    /** The place that the offset at another place leads to. */
    int ledTo(int place) {
        return Math.addExact(place, content.getInt(place));
    }

    /** How many fields a table can have: all those of higher numbers are absent. */
    int fields(int table) {
        return (content.getShort(listed(table)) & 0xffff) / 2 - 2;
    }

    /** The place of a table's field; 0 if the field is absent. */
    int field(int table, int number) {
        int slot = number < fields(table) ? content.getShort(listed(table) + 4 + 2 * number) & 0xffff : 0;
        return slot == 0 ? 0 : table + slot;
    }

    private int listed(int table) {
        return table - content.getInt(table);
    }

    /** The number of 32 bits at the place of a field; 0, the default, if the field is absent. */
    int number(int place) {
        return place == 0 ? 0 : content.getInt(place);
    }

    /** The elements, numbers of 32 bits, of the vector that a field leads to; none where the field is absent. */
    int[] numbers(int place) {
        int start = place == 0 ? 0 : ledTo(place);
        int count = place == 0 ? 0 : content.getInt(start);
        if (count < 0 || count > content.limit() / 4) {
            throw new IndexOutOfBoundsException("a vector of " + count);
        }
        int[] elements = new int[count];
        for (int i = 0; i < count; i++) {
            elements[i] = content.getInt(start + 4 + 4 * i);
        }
        return elements;
    }

    /** The places of the tables in the vector that a field leads to; none where the field is absent. */
    int[] tables(int place) {
        int[] places = numbers(place);
        for (int i = 0; i < places.length; i++) {
            places[i] += ledTo(place) + 4 + 4 * i;
        }
        return places;
    }
}
