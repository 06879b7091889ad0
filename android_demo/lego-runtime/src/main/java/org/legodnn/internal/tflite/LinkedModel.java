package org.legodnn.internal.tflite;

import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.util.ArrayList;
import java.util.List;

import org.jspecify.annotations.Nullable;
import org.legodnn.StoreException;
import org.legodnn.internal.tflite.Front.Field;

/**
 * Many TensorFlow Lite files as one, with a signature for each, so that one compiled model has them all: they share its
 * packed weights, and going from one to another loads nothing.
 *
 * <p>The files follow a front as they are. The front has what numbers of theirs have to change in: their operators,
 * since all share one list of kinds, and their tensors, since all share one list of buffers. All else stays where it
 * is, and the front leads to it. Signatures are called "0", "1" and so on, in the order of the files; their inputs
 * "x0", "x1" and so on, their outputs "y0", "y1" and so on, in the order of the file's.
 */
public final class LinkedModel {
    private static final String IDENTIFIER = "TFL3";
    private static final int VERSION = 3;
    private static final int CODES = 1; // numbers of fields of a model
    private static final int GRAPHS = 2;
    private static final int BUFFERS = 4;
    private static final int TENSORS = 0; // of a graph
    private static final int INPUTS = 1;
    private static final int OUTPUTS = 2;
    private static final int OPERATORS = 3;
    private static final int NAME = 4;
    private static final int CODE = 0; // of an operator
    private static final int LARGE_OPTIONS = 9;
    private static final int NOTES = 13;
    private static final int BUFFER = 2; // of a tensor
    private static final int OUTSIDE = 1; // of a buffer
    /** The fields of an operator, and of a tensor: how many bytes a number has, or o for an offset. */
    private static final String OPERATOR = "4oo1oo1oo881o4";
    private static final String TENSOR = "o14oo1oo1o4";

    private final Front front = new Front(IDENTIFIER);
    private final List<Long> codes = new ArrayList<>();
    private final List<Long> buffers = new ArrayList<>();

    private LinkedModel() {}

    /**
     * Write the linked model of some files. It is there whole or not at all.
     *
     * @param files each with one graph; at least one
     * @param out replaced if it is there
     * @throws StoreException a file cannot be linked
     * @throws IOException a file cannot be read, or {@code out} not be written
     */
    public static void write(List<File> files, File out) throws IOException {
        List<Tables> opened = new ArrayList<>();
        for (File file : files) {
            try (FileInputStream in = new FileInputStream(file)) {
                opened.add(new Tables(in.getChannel().map(FileChannel.MapMode.READ_ONLY, 0, file.length())));
            }
        }
        ByteBuffer front = new LinkedModel().front(files, opened);
        File part = new File(out.getPath() + ".part");
        try {
            try (FileOutputStream written = new FileOutputStream(part)) {
                FileChannel channel = written.getChannel();
                writeAll(channel, front);
                for (Tables file : opened) {
                    writeAll(channel, file.content.duplicate());
                    writeAll(channel, ByteBuffer.allocate((int) (padded(file) - file.content.limit())));
                }
                written.getFD().sync();
            }
            if (!part.renameTo(out)) {
                throw new IOException("cannot rename " + part + " to " + out.getName());
            }
        } finally {
            part.delete(); // where it was renamed there is nothing left
        }
    }

    private static void writeAll(FileChannel channel, ByteBuffer content) throws IOException {
        while (content.hasRemaining()) {
            channel.write(content);
        }
    }

    private static long padded(Tables file) {
        return file.content.limit() + Math.floorMod(-file.content.limit(), Front.ALIGNMENT);
    }

    private ByteBuffer front(List<File> files, List<Tables> opened) {
        long[] starts = new long[opened.size() + 1];
        int[] firstCodes = new int[opened.size()];
        int[] firstBuffers = new int[opened.size()];
        int[] graphs = new int[opened.size()];
        int named = 0;
        try {
            for (int i = 0; i < graphs.length; i++) {
                named = i;
                Tables file = opened.get(i);
                starts[i + 1] = starts[i] + padded(file);
                firstCodes[i] = codes.size();
                firstBuffers[i] = buffers.size();
                graphs[i] = add(file, starts[i], i == 0);
            }
            int[] model = front.table(0, Field.number(4, VERSION), Field.LATER, Field.LATER, null, Field.LATER, null,
                    null, Field.LATER);
            front.offsets(model[CODES], codes);
            front.offsets(model[BUFFERS], buffers);
            int[] linked = front.offsets(model[GRAPHS], graphs.length);
            int[] signatures = front.offsets(model[7], graphs.length);
            for (int i = 0; i < graphs.length; i++) {
                named = i;
                writeGraph(linked[i], opened.get(i), graphs[i], starts[i], firstCodes[i], firstBuffers[i]);
                writeSignature(signatures[i], i, opened.get(i), graphs[i]);
            }
            return front.finish();
        } catch (IndexOutOfBoundsException | ArithmeticException e) {
            throw new StoreException(files.get(named) + " is no TensorFlow Lite file, or all are more than 2 GB; "
                    + "build the store again", e);
        } catch (IllegalArgumentException e) {
            throw new StoreException(files.get(named) + " cannot be linked: " + e.getMessage(), e);
        }
    }

    /** Enter a file's kinds of operators and its buffers in the lists of all; returns its graph. */
    private int add(Tables file, long start, boolean first) {
        int root = file.root();
        for (int code : file.tables(file.field(root, CODES))) {
            codes.add(start + code);
        }
        int[] own = file.tables(file.field(root, BUFFERS));
        for (int i = 0; i < own.length; i++) {
            if (file.field(own[i], OUTSIDE) != 0) {
                throw new IllegalArgumentException("some of its weights lie behind its tables");
            }
            if (first || i > 0) { // the first buffer of every file is empty, and means no content
                buffers.add(start + own[i]);
            }
        }
        int[] graphs = file.tables(file.field(root, GRAPHS));
        if (graphs.length != 1) {
            throw new IllegalArgumentException("it has " + graphs.length + " graphs instead of one");
        }
        return graphs[0];
    }

    private void writeGraph(int slot, Tables file, int graph, long start, int firstCode, int firstBuffer) {
        int[] linked = front.table(slot, Field.LATER, offset(file, graph, INPUTS, start),
                offset(file, graph, OUTPUTS, start), Field.LATER, offset(file, graph, NAME, start));
        int[] tensors = file.tables(file.field(graph, TENSORS));
        int[] slots = front.offsets(linked[TENSORS], tensors.length);
        // Of every file but the first, buffer 1 is the first that was entered.
        int shift = firstBuffer - (firstBuffer == 0 ? 0 : 1);
        for (int i = 0; i < tensors.length; i++) {
            @Nullable Field[] fields = fields(file, tensors[i], TENSOR, start);
            int buffer = file.number(file.field(tensors[i], BUFFER));
            if (buffer != 0) {
                fields[BUFFER] = Field.number(4, buffer + (long) shift);
            }
            front.table(slots[i], fields);
        }
        int[] operators = file.tables(file.field(graph, OPERATORS));
        slots = front.offsets(linked[OPERATORS], operators.length);
        for (int i = 0; i < operators.length; i++) {
            @Nullable Field[] fields = fields(file, operators[i], OPERATOR, start);
            if (fields[LARGE_OPTIONS] != null && fields[LARGE_OPTIONS].value != 0) {
                throw new IllegalArgumentException("some of its operators' options lie behind its tables");
            }
            fields[CODE] = Field.number(4, file.number(file.field(operators[i], CODE)) + (long) firstCode);
            fields[NOTES] = null; // numbers of what the file has besides its graph
            front.table(slots[i], fields);
        }
    }

    private static @Nullable Field offset(Tables file, int table, int number, long start) {
        int place = file.field(table, number);
        return place == 0 ? null : Field.behind(start + file.ledTo(place));
    }

    /** What a table of a file has, with offsets that lead from the front to the file. */
    private static @Nullable Field[] fields(Tables file, int table, String kinds, long start) {
        if (file.fields(table) > kinds.length()) {
            throw new IllegalArgumentException("it was made by a newer converter than is known here");
        }
        @Nullable Field[] fields = new Field[kinds.length()];
        for (int i = 0; i < fields.length; i++) {
            int place = file.field(table, i);
            char kind = kinds.charAt(i);
            if (place == 0) {
                continue;
            }
            if (kind == 'o') {
                fields[i] = offset(file, table, i, start);
            } else if (kind == '1') {
                fields[i] = Field.number(1, file.content.get(place));
            } else if (kind == '4') {
                fields[i] = Field.number(4, file.content.getInt(place));
            } else {
                fields[i] = Field.number(8, file.content.getLong(place));
            }
        }
        return fields;
    }

    private void writeSignature(int slot, int number, Tables file, int graph) {
        int[] signature = front.table(slot, Field.LATER, Field.LATER, Field.LATER, null, Field.number(4, number));
        writeNames(signature[0], "x", file.numbers(file.field(graph, INPUTS)));
        writeNames(signature[1], "y", file.numbers(file.field(graph, OUTPUTS)));
        front.string(signature[2], String.valueOf(number));
    }

    private void writeNames(int slot, String letter, int[] tensors) {
        int[] slots = front.offsets(slot, tensors.length);
        for (int i = 0; i < tensors.length; i++) {
            int[] named = front.table(slots[i], Field.LATER, Field.number(4, tensors[i]));
            front.string(named[0], letter + i);
        }
    }
}
